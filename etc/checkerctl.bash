# SPDX-License-Identifier: BSD-2-Clause
# Completion of checkerctl's commands, options, pools and hosts for bash. It
# needs nothing of the bash-completion package but being loaded by it.

# POOL/HOST, a line each; the arguments say which segment.
_checkerctl_hosts()
{
	checkerctl "$@" status 2>/dev/null |
		awk '$1 == "POOL/HOST" { body = 1; next }
		     body && $1 ~ "/" { print $1 }'
}

_checkerctl_pools()
{
	_checkerctl_hosts "$@" | cut -d / -f 1 | uniq
}

# Those of the candidates that begin with the word, quoted. Names may hold what
# the shell would expand, as compgen -W does.
_checkerctl_offer()
{
	local typed=${1//\\/} before="" candidates candidate reply

	# Only what follows the last colon is replaced.
	if [[ $typed == *:* && $COMP_WORDBREAKS == *:* ]]; then
		before=${typed%"${typed##*:}"}
	fi
	read -rd "" -a candidates <<<"$2"
	COMPREPLY=()
	for candidate in "${candidates[@]}"; do
		[[ $candidate == "$typed"* ]] || continue
		printf -v reply %q "${candidate#"$before"}"
		COMPREPLY+=("$reply")
	done
}

_checkerctl()
{
	local commands="status watch why events up down drain auto weight probe
		add remove pool reload diff revert help"
	local pool_commands="add set remove"
	local words operands=() segment=() command candidates="" word before i

	# In COMP_WORDS, the colon of an address is a word of its own.
	read -ra words <<<"${COMP_LINE:0:COMP_POINT}x"
	word=${words[-1]%x}
	before=${words[-2]}
	for ((i = 1; i < ${#words[@]} - 1; i++)); do
		case ${words[i]} in
		-s | --segment) segment=(-s "${words[++i]}") ;;
		-S | --socket | --timeout | --since | --for | --reason) ((i++)) ;;
		-*) ;;
		*) operands+=("${words[i]}") ;;
		esac
	done
	command=${operands[0]}
	if [[ $command == pool && ${#operands[@]} -gt 1 ]]; then
		command="pool ${operands[1]}"
		operands=("${operands[@]:1}")
	fi

	case $before in
	-s | --segment | -S | --socket)
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		return
		;;
	--timeout | --since | --for | --reason)
		return
		;;
	esac
	case $word:$command in
	-*)
		local options="-s --segment -S --socket --timeout --json"

		options+=" -V --version -h --help"
		case $command in
		"" | events) options+=" -f --follow --since" ;;&
		"" | up | down | drain | auto) options+=" --for --reason" ;;
		esac
		candidates=$options
		;;
	*:) candidates=$commands ;;
	*:help)
		case ${operands[1]}:${#operands[@]} in
		*:1) candidates=$commands ;;
		pool:2) candidates=$pool_commands ;;
		esac
		;;
	*:pool) candidates=$pool_commands ;;
	*)
		# What follows the first operand is for people to know.
		[[ ${#operands[@]} -gt 1 ]] && return
		case $command in
		add | "pool set" | "pool remove" | status | watch | revert)
			candidates=$(_checkerctl_pools "${segment[@]}")
			;;&
		status | watch | revert | why | up | down | drain | auto | \
			weight | probe | remove)
			candidates+=" $(_checkerctl_hosts "${segment[@]}")"
			;;
		esac
		;;
	esac
	_checkerctl_offer "$word" "$candidates"
}

complete -F _checkerctl checkerctl

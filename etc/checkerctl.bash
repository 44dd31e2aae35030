# SPDX-License-Identifier: BSD-2-Clause
# Completion of checkerctl's commands, options and hosts for bash. It needs
# nothing of the bash-completion package but being loaded by it.

# The segment that the line so far names, so that hosts come from there.
_checkerctl_hosts()
{
	local segment=() i

	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-s | --segment) segment=(-s "${COMP_WORDS[i + 1]}") ;;
		esac
	done
	checkerctl "${segment[@]}" status 2>/dev/null |
		awk '$1 == "POOL/HOST" { body = 1; next }
		     body && $1 ~ "/" { print $1 }'
}

_checkerctl()
{
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
	local commands="status watch why events" command= i

	for ((i = 1; i < COMP_CWORD; i++)); do
		case " $commands " in
		*" ${COMP_WORDS[i]} "*) command=${COMP_WORDS[i]} ;;
		esac
	done

	case $before in
	-s | --segment | -S | --socket)
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		return
		;;
	--since)
		return
		;;
	esac
	case $word in
	-*)
		local options="-s --segment -S --socket --json -V --version -h --help"

		if [[ -z $command || $command == events ]]; then
			options+=" -f --follow --since"
		fi
		mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
		return
		;;
	esac
	case $command in
	"")
		mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$word")
		;;
	status | watch | why)
		mapfile -t COMPREPLY < <(compgen -W "$(_checkerctl_hosts)" -- "$word")
		;;
	esac
}

complete -F _checkerctl checkerctl

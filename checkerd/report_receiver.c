/* SPDX-License-Identifier: BSD-2-Clause */
#include "report_receiver.h"

#include "clock.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define USERS_MAX      64
#define REPORTS_A_TURN 64

struct report_receiver {
	int fd;
	sd_event_source *source;
	struct sockaddr_un address;
	bool bound;
	report_fn report;
	void *owner;
	uid_t users[USERS_MAX];
	unsigned user_count;
	uint64_t refused;
};

static void learn_users(struct report_receiver *receiver, const char *names)
{
	char name[256];
	size_t size;

	receiver->users[receiver->user_count++] = 0;
	for (; *names; names += size) {
		const struct passwd *user;

		names += strspn(names, " \t,");
		size = strcspn(names, " \t,");
		if (size == 0 || size >= sizeof(name))
			continue;
		snprintf(name, sizeof(name), "%.*s", (int) size, names);
		user = getpwnam(name);
		if (user && receiver->user_count < USERS_MAX)
			receiver->users[receiver->user_count++] = user->pw_uid;
	}
}

static bool knows(const struct report_receiver *receiver, uid_t uid)
{
	for (unsigned i = 0; i < receiver->user_count; i++)
		if (receiver->users[i] == uid)
			return true;
	return false;
}

static const struct ucred *sender_of(struct msghdr *message)
{
	const struct cmsghdr *header = CMSG_FIRSTHDR(message);

	if (!header || header->cmsg_level != SOL_SOCKET ||
	    header->cmsg_type != SCM_CREDENTIALS ||
	    header->cmsg_len != CMSG_LEN(sizeof(struct ucred)))
		return NULL;
	return (const struct ucred *) CMSG_DATA(header);
}

static enum report_worth worth(const struct report_receiver *receiver,
                               const struct health_report *report, ssize_t size,
                               const struct ucred *sender)
{
	uint64_t now_us = monotonic_us();

	if (!sender || !knows(receiver, sender->uid) ||
	    size != sizeof(*report) || report->magic != HEALTH_REPORT_MAGIC ||
	    report->version != HEALTH_REPORT_VERSION ||
	    report->sent_mono_us > now_us)
		return REPORT_IS_NONSENSE;
	if (now_us - report->sent_mono_us > HEALTH_REPORT_MAX_AGE_US)
		return REPORT_IS_HISTORY;
	return receiver->report(receiver->owner, report, sender->pid);
}

/* Returns false when there is nothing left to take. */
static bool take_one(struct report_receiver *receiver)
{
	/* one byte of room more, so that what is too long shows */
	unsigned char data[sizeof(struct health_report) + 1];
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct iovec part = { data, sizeof(data) };
	struct msghdr message = { .msg_iov = &part,
		                  .msg_iovlen = 1,
		                  .msg_control = &control,
		                  .msg_controllen = sizeof(control) };
	struct health_report report;
	ssize_t size = recvmsg(receiver->fd, &message,
	                       MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (size < 0)
		return errno == EINTR;
	memcpy(&report, data, sizeof(report));
	if (worth(receiver, &report, size, sender_of(&message)) ==
	    REPORT_IS_NONSENSE)
		receiver->refused++;
	return true;
}

static int on_readable(sd_event_source *source, int fd, uint32_t revents,
                       void *userdata)
{
	(void) source;
	(void) fd;
	(void) revents;
	for (int i = 0; i < REPORTS_A_TURN && take_one(userdata); i++)
		;
	return 0;
}

static int bind_socket(struct report_receiver *receiver, const char *path)
{
	struct sockaddr_un *address = &receiver->address;
	int on = 1;

	address->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(address->sun_path))
		return -ENAMETOOLONG;
	strcpy(address->sun_path, path);
	receiver->fd =
		socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (receiver->fd < 0)
		return -errno;
	if (setsockopt(receiver->fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) <
	    0)
		return -errno;
	/* we hold the segment's lock: no other checkerd listens there */
	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	if (bind(receiver->fd, (struct sockaddr *) address, sizeof(*address)) <
	    0)
		return -errno;
	receiver->bound = true;
	/* who may send is decided by uid, not by mode */
	return chmod(path, 0666) < 0 ? -errno : 0;
}

int report_receiver_new(struct report_receiver **ret, sd_event *event,
                        const char *path, const char *users, report_fn report,
                        void *owner)
{
	struct report_receiver *receiver = calloc(1, sizeof(*receiver));
	int r;

	if (!receiver)
		return -ENOMEM;
	receiver->fd = -1;
	receiver->report = report;
	receiver->owner = owner;
	learn_users(receiver, users);
	r = bind_socket(receiver, path);
	if (r >= 0)
		r = sd_event_add_io(event, &receiver->source, receiver->fd,
		                    EPOLLIN, on_readable, receiver);
	if (r < 0) {
		report_receiver_free(receiver);
		return r;
	}
	*ret = receiver;
	return 0;
}

void report_receiver_free(struct report_receiver *receiver)
{
	if (!receiver)
		return;
	sd_event_source_disable_unref(receiver->source);
	if (receiver->bound)
		unlink(receiver->address.sun_path);
	close_fd(&receiver->fd);
	free(receiver);
}

uint64_t report_receiver_refused(const struct report_receiver *receiver)
{
	return receiver->refused;
}

// SPDX-License-Identifier: MIT
// Asks rtnetlink where the peer of a veth device is.
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "peer.h"

struct request {
	struct nlmsghdr head;
	struct ifinfomsg body;
};

/* One answer of the kernel fits: GETLINK of one device, without statistics of virtual functions. */
union answer {
	struct nlmsghdr head;
	char bytes[16384];
};

static int ask(int ifindex, union answer *answer)
{
	const struct request request = {
		.head = { .nlmsg_len = sizeof(request), .nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST },
		.body = { .ifi_index = ifindex },
	};
	ssize_t len = -1;
	int fd, err = 0;

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0)
		return -errno;
	if (send(fd, &request, sizeof(request), 0) == sizeof(request))
		len = recv(fd, answer, sizeof(*answer), 0);
	if (len < 0)
		err = -errno;
	else if (!NLMSG_OK(&answer->head, (size_t)len) || answer->head.nlmsg_type != RTM_NEWLINK)
		err = -EPROTO;
	close(fd);
	return err;
}

int sc_peer_ifindex(int ifindex)
{
	struct rtattr *attr;
	union answer answer;
	int err, len, peer = 0;

	err = ask(ifindex, &answer);
	if (err)
		return err;
	len = IFLA_PAYLOAD(&answer.head);
	for (attr = IFLA_RTA(NLMSG_DATA(&answer.head)); RTA_OK(attr, len); attr = RTA_NEXT(attr, len)) {
		/* There only if the peer is in another namespace, whose indexes mean nothing here. */
		if (attr->rta_type == IFLA_LINK_NETNSID)
			return 0;
		if (attr->rta_type == IFLA_LINK)
			memcpy(&peer, RTA_DATA(attr), sizeof(peer));
	}
	return peer;
}

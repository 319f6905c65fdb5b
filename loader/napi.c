// SPDX-License-Identifier: MIT
// Dumps NAPI instances by the kernel's netdev family.
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <linux/netdev.h>

#include "napi.h"

enum {
	DUMP_LEN = 32768, /* the kernel's largest message of a dump */
};

struct dump {
	struct sc_napi *napis;
	int cnt;
};

static int take_attribute(const struct nlattr *attribute, void *data)
{
	struct sc_napi *napi = data;

	if (mnl_attr_validate(attribute, MNL_TYPE_U32) < 0)
		return MNL_CB_OK;
	switch (mnl_attr_get_type(attribute)) {
	case NETDEV_A_NAPI_ID:
		napi->id = mnl_attr_get_u32(attribute);
		break;
	case NETDEV_A_NAPI_IRQ:
		napi->irq = mnl_attr_get_u32(attribute);
		break;
	case NETDEV_A_NAPI_PID:
		napi->pid = mnl_attr_get_u32(attribute);
	}
	return MNL_CB_OK;
}

static int take_napi(const struct nlmsghdr *message, void *data)
{
	struct dump *dump = data;

	if (dump->cnt < SC_NAPI_MAX) {
		dump->napis[dump->cnt] = (struct sc_napi){ 0 };
		mnl_attr_parse(message, sizeof(struct genlmsghdr), take_attribute, &dump->napis[dump->cnt++]);
	}
	return MNL_CB_OK;
}

static int take_family_attribute(const struct nlattr *attribute, void *data)
{
	if (mnl_attr_get_type(attribute) == CTRL_ATTR_FAMILY_ID && mnl_attr_validate(attribute, MNL_TYPE_U16) >= 0)
		*(__u16 *)data = mnl_attr_get_u16(attribute);
	return MNL_CB_OK;
}

static int take_family(const struct nlmsghdr *message, void *data)
{
	mnl_attr_parse(message, sizeof(struct genlmsghdr), take_family_attribute, data);
	return MNL_CB_OK;
}

static struct nlmsghdr *start(char *buffer, __u16 type, __u16 flags, __u8 command, __u8 version)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct genlmsghdr *head;

	message->nlmsg_type = type;
	message->nlmsg_flags = NLM_F_REQUEST | flags;
	head = mnl_nlmsg_put_extra_header(message, sizeof(*head));
	head->cmd = command;
	head->version = version;
	return message;
}

static int talk(struct mnl_socket *socket, const struct nlmsghdr *request, mnl_cb_t take, void *data)
{
	char buffer[DUMP_LEN];
	ssize_t len;
	int more;

	if (mnl_socket_sendto(socket, request, request->nlmsg_len) < 0)
		return -errno;
	do {
		len = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));
		more = len < 0 ? -1 : mnl_cb_run(buffer, len, 0, mnl_socket_get_portid(socket), take, data);
	} while (more > 0);
	return more < 0 ? -errno : 0;
}

static int find_family(struct mnl_socket *socket, __u16 *ret_family)
{
	char buffer[256];
	struct nlmsghdr *request = start(buffer, GENL_ID_CTRL, NLM_F_ACK, CTRL_CMD_GETFAMILY, 1);
	int err;

	*ret_family = 0;
	mnl_attr_put_strz(request, CTRL_ATTR_FAMILY_NAME, NETDEV_FAMILY_NAME);
	err = talk(socket, request, take_family, ret_family);
	return err == -ENOENT || (!err && !*ret_family) ? -EOPNOTSUPP : err;
}

int sc_napi_list(int ifindex, struct sc_napi ret_napis[SC_NAPI_MAX])
{
	struct dump dump = { .napis = ret_napis };
	struct mnl_socket *socket;
	struct nlmsghdr *request;
	char buffer[256];
	__u16 family;
	int err;

	socket = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC);
	if (!socket)
		return -errno;
	err = mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0 ? -errno : 0;
	err = err ?: find_family(socket, &family);
	if (!err) {
		request = start(buffer, family, NLM_F_DUMP, NETDEV_CMD_NAPI_GET, NETDEV_FAMILY_VERSION);
		mnl_attr_put_u32(request, NETDEV_A_NAPI_IFINDEX, ifindex);
		err = talk(socket, request, take_napi, &dump);
	}
	mnl_socket_close(socket);
	return err ?: dump.cnt;
}

/* SPDX-License-Identifier: MIT */
/* Base types of the kernel. Made by vmlinux/regenerate.sh. */
#ifndef __VMLINUX_TYPES_H__
#define __VMLINUX_TYPES_H__

typedef unsigned char __u8;
typedef signed char __s8;
typedef short unsigned int __u16;
typedef short int __s16;
typedef unsigned int __u32;
typedef int __s32;
typedef long long unsigned int __u64;
typedef long long int __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u64 __be64;
typedef __u16 __le16;
typedef __u32 __le32;
typedef __u16 __sum16;
typedef __u32 __wsum;

#endif

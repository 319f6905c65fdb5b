/* SPDX-License-Identifier: MIT */
/* The content type a file's name stands for. */
#ifndef EXAMPLES_MIME_H
#define EXAMPLES_MIME_H

#ifdef __cplusplus
extern "C" {
#endif

const char *sc_mime_type(const char *path);

#ifdef __cplusplus
}
#endif
#endif

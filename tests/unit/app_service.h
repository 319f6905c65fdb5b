/* SPDX-License-Identifier: MIT */
/* A sidecore-ringsvc of the test's own: rootless if the test is. */
#ifndef TESTS_APP_SERVICE_H
#define TESTS_APP_SERVICE_H

#include <stdint.h>
#include <sys/types.h>

/* Starts it and waits until it answers; 0 or -1. */
int service_start(void);
/* The same, with a poller that sleeps after idle_ms without work. */
int service_start_idle(unsigned int idle_ms);
void service_stop(void);
/* Its socket, or NULL when none runs. */
const char *service_path(void);
pid_t service_pid(void);
/* What its engines, pollers among their threads, have had of the CPUs; 0 if none runs. */
int64_t service_cpu_us(void);

#endif

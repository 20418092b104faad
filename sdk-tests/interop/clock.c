/* Puts a program's wall clock forward or back by SMCP_TEST_CLOCK_OFFSET seconds; preloaded by the tests. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int status = real(clock, time);
    const char *offset = getenv("SMCP_TEST_CLOCK_OFFSET");
    if (status == 0 && clock == CLOCK_REALTIME && offset) time->tv_sec += atoll(offset);
    return status;
}

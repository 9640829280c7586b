/* Makes a server that asks the kernel how many processors it may use believe the number in
 * FARCC_STAND_IN_CORES. sccache's servers take as many jobs as that and have no setting for it.
 * Loaded with LD_PRELOAD, so the scheduling that the kernel does is unchanged. */
#define _GNU_SOURCE
#include <sched.h>
#include <stdlib.h>
#include <string.h>

int sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set) {
    const char *text = getenv("FARCC_STAND_IN_CORES");
    size_t cores = text ? strtoul(text, NULL, 10) : 1;
    (void)pid;
    memset(set, 0, size);
    for (size_t core = 0; core < cores && core < size * 8; core++)
        CPU_SET_S(core, size, set);
    return 0;
}

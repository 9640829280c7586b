/* Stands in for a compiler: waits for the CPU time that this unit took when it was recorded, without
 * using any, and writes what it wrote then. What is no such unit is compiled.
 *
 * A unit is known by its option -frandom-seed=farcc-unit-KEY. units/KEY, beside this program, holds
 * one line "MICROSECONDS OBJECT DEPENDENCIES MESSAGES", the last three in bytes, and then these three.
 * In C and static: it runs in roots that have nothing but what a compiler needs, and starts in no time. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <time.h>
#include <unistd.h>

#define MARK "-frandom-seed=farcc-unit-"

/* The compiler that would have run, and where stock's servers find it behind this program. */
static int compile(char **argv) {
    const char *name = strrchr(argv[0], '/');
    char path[4096];
    snprintf(path, sizeof path, "/usr/bin/%s", name ? name + 1 : argv[0]);
    execv(path, argv);
    perror(path);
    return 127;
}

static int copy(int from, off_t *at, long bytes, const char *path) {
    int to = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666) : 2;
    if (to < 0) {
        perror(path);
        return 1;
    }
    off_t end = *at + bytes;
    while (*at < end) {
        ssize_t sent = sendfile(to, from, at, end - *at);
        if (sent <= 0) {
            /* Not every descriptor takes a file's pages. */
            char buffer[65536];
            ssize_t part = pread(from, buffer, end - *at < (off_t)sizeof buffer ? end - *at : (off_t)sizeof buffer, *at);
            if (part <= 0 || write(to, buffer, part) != part) {
                perror("stand-in: write");
                return 1;
            }
            *at += part;
        }
    }
    if (path)
        close(to);
    return 0;
}

int main(int argc, char **argv) {
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    const char *key = NULL, *output = NULL, *dependencies = NULL;
    for (int i = 1; i < argc; i++) {
        if (!strncmp(argv[i], MARK, strlen(MARK)))
            key = argv[i] + strlen(MARK);
        else if (!strcmp(argv[i], "-o") && i + 1 < argc)
            output = argv[++i];
        else if (!strcmp(argv[i], "-MF") && i + 1 < argc)
            dependencies = argv[++i];
    }
    char path[4096];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 128);
    if (!key || strchr(key, '/') || !output || len < 0)
        return compile(argv);
    path[len] = 0;
    char *slash = strrchr(path, '/');
    snprintf(slash, 128, "/units/%s", key);
    int unit = open(path, O_RDONLY | O_CLOEXEC);
    if (unit < 0) {
        /* Where it is mounted over a compiler, what it needs is here. */
        snprintf(path, sizeof path, "/stand-in/units/%s", key);
        unit = open(path, O_RDONLY | O_CLOEXEC);
    }
    if (unit < 0)
        return compile(argv);

    char head[256];
    len = pread(unit, head, sizeof head - 1, 0);
    head[len < 0 ? 0 : len] = 0;
    long micros, object_bytes, dependency_bytes, message_bytes;
    char *line_end = strchr(head, '\n');
    if (!line_end || sscanf(head, "%ld %ld %ld %ld", &micros, &object_bytes, &dependency_bytes, &message_bytes) != 4) {
        fprintf(stderr, "stand-in: %s is no recording\n", path);
        return 1;
    }
    end.tv_sec += micros / 1000000;
    end.tv_nsec += micros % 1000000 * 1000;
    if (end.tv_nsec >= 1000000000) {
        end.tv_sec++;
        end.tv_nsec -= 1000000000;
    }
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL))
        ;
    off_t at = line_end + 1 - head;
    if (copy(unit, &at, object_bytes, output))
        return 1;
    if (dependencies) {
        if (copy(unit, &at, dependency_bytes, dependencies))
            return 1;
    } else {
        at += dependency_bytes;
    }
    return copy(unit, &at, message_bytes, NULL);
}

/* Stands in for a compiler: waits for the CPU time that this unit took when it was recorded, without
 * using any, and writes what it wrote then. What is no such unit is compiled.
 *
 * A unit is known by its option -frandom-seed=farcc-unit-KEY. units/KEY, beside this program, holds
 * one line "MICROSECONDS OBJECT DEPENDENCIES MESSAGES", the last three in bytes, and then these three.
 * In C and static: it runs in roots that have nothing but what a compiler needs, and starts in no time.
 *
 * Called "recordings", it hands out the open files of units beside it, to stand-ins of the same
 * network that live in a root without them: sockets without a name in the file system are seen there.
 * Called "bwrap", it runs bubblewrap with itself in the place of the compiler. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MARK "-frandom-seed=farcc-unit-"
/* Set in what this program runs: where it has a compiler's path, it would run itself. */
#define AGAIN "FARCC_STAND_IN_RAN"

static const char *own_name(char **argv) {
    const char *slash = strrchr(argv[0], '/');
    return slash ? slash + 1 : argv[0];
}

/* The compiler that would have run, and where stock's servers find it behind this program. */
static int compile(char **argv) {
    char path[4096];
    snprintf(path, sizeof path, "/usr/bin/%s", own_name(argv));
    if (getenv(AGAIN)) {
        fprintf(stderr, "stand-in: there is no recording of this, and no %s but the stand-in\n", path);
        return 127;
    }
    setenv(AGAIN, "1", 1);
    execv(path, argv);
    perror(path);
    return 127;
}

/* Beside this program, as far as the system tells where that is. */
static int beside(const char *part, char *path, size_t size) {
    ssize_t len = readlink("/proc/self/exe", path, size - 512);
    if (len < 0)
        return -1;
    path[len] = 0;
    snprintf(strrchr(path, '/'), 512, "/units/%s", part);
    return 0;
}

static socklen_t recordings_address(struct sockaddr_un *address) {
    static const char name[] = "farcc-bench-recordings";
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(address->sun_path + 1, name, sizeof name - 1);
    return offsetof(struct sockaddr_un, sun_path) + sizeof name;
}

/* One message with or without an open file; room for either side. */
struct message {
    char control[CMSG_SPACE(sizeof(int))], text[256];
    struct iovec part;
    struct msghdr head;
};

static struct msghdr *message(struct message *it) {
    it->part = (struct iovec){it->text, sizeof it->text};
    it->head = (struct msghdr){
        .msg_iov = &it->part, .msg_iovlen = 1, .msg_control = it->control, .msg_controllen = sizeof it->control};
    return &it->head;
}

static void hand_out(int client) {
    struct message it;
    char path[4096];
    message(&it);
    ssize_t len = read(client, it.text, sizeof it.text - 1);
    it.text[len < 0 ? 0 : len] = 0;
    int unit = -1;
    if (len > 0 && !strchr(it.text, '/') && !beside(it.text, path, sizeof path))
        unit = open(path, O_RDONLY | O_CLOEXEC);
    if (unit >= 0) {
        struct cmsghdr *control = CMSG_FIRSTHDR(&it.head);
        control->cmsg_level = SOL_SOCKET;
        control->cmsg_type = SCM_RIGHTS;
        control->cmsg_len = CMSG_LEN(sizeof unit);
        memcpy(CMSG_DATA(control), &unit, sizeof unit);
        if (sendmsg(client, &it.head, MSG_NOSIGNAL) < 0)
            perror("recordings: answer");
        close(unit);
    }
    close(client);
}

static int serve_recordings(void) {
    struct sockaddr_un address;
    socklen_t size = recordings_address(&address);
    int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 4096)) {
        perror("recordings: listen");
        return 1;
    }
    for (;;) {
        int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (client >= 0)
            hand_out(client);
    }
}

/* A unit's recording from who hands them out. */
static int ask_for(const char *key) {
    struct sockaddr_un address;
    socklen_t size = recordings_address(&address);
    struct message it;
    int unit = -1, server = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (server < 0)
        return -1;
    if (!connect(server, (struct sockaddr *)&address, size) && write(server, key, strlen(key)) > 0 &&
        recvmsg(server, message(&it), MSG_CMSG_CLOEXEC) > 0) {
        struct cmsghdr *control = CMSG_FIRSTHDR(&it.head);
        if (control && control->cmsg_type == SCM_RIGHTS)
            memcpy(&unit, CMSG_DATA(control), sizeof unit);
    }
    close(server);
    return unit;
}

static int open_unit(const char *key) {
    char path[4096];
    int unit = -1;
    if (!beside(key, path, sizeof path))
        unit = open(path, O_RDONLY | O_CLOEXEC);
    if (unit < 0) {
        /* Where it is mounted over a compiler, what it needs is here. */
        snprintf(path, sizeof path, "/stand-in/units/%s", key);
        unit = open(path, O_RDONLY | O_CLOEXEC);
    }
    return unit < 0 ? ask_for(key) : unit;
}

/* Who writes the source here must get rid of it. */
static void take_source(void) {
    static char buffer[65536];
    while (read(0, buffer, sizeof buffer) > 0)
        ;
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

/* bubblewrap's words are OPTION... -- COMPILER WORD..., or only options. */
static int run_bubblewrap(int argc, char **argv) {
    char dir[4096], compiler[4096];
    char **words = calloc(argc + 4, sizeof *words);
    int at = 1, to = 1;
    if (!words || beside("", dir, sizeof dir))
        return 127;
    strstr(dir, "/units/")[0] = 0;
    words[0] = "bwrap";
    while (at < argc && strcmp(argv[at], "--"))
        words[to++] = argv[at++];
    if (at + 1 < argc) {
        const char *slash = strrchr(argv[at + 1], '/');
        snprintf(compiler, sizeof compiler, "/stand-in/bin/%s", slash ? slash + 1 : argv[at + 1]);
        words[to++] = "--ro-bind";
        words[to++] = dir;
        words[to++] = "/stand-in";
        words[to++] = argv[at];
        words[to++] = compiler;
        at += 2;
    }
    while (at < argc)
        words[to++] = argv[at++];
    /* Meant for the server alone. */
    unsetenv("LD_PRELOAD");
    execv("/usr/bin/bwrap", words);
    perror("/usr/bin/bwrap");
    return 127;
}

static int replay(int unit, struct timespec end, const char *key, const char *output, const char *dependencies) {
    char head[256];
    ssize_t len = pread(unit, head, sizeof head - 1, 0);
    head[len < 0 ? 0 : len] = 0;
    long micros, object_bytes, dependency_bytes, message_bytes;
    char *line_end = strchr(head, '\n');
    if (!line_end || sscanf(head, "%ld %ld %ld %ld", &micros, &object_bytes, &dependency_bytes, &message_bytes) != 4) {
        fprintf(stderr, "stand-in: %s is no recording\n", key);
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

int main(int argc, char **argv) {
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    if (!strcmp(own_name(argv), "recordings"))
        return serve_recordings();
    if (!strcmp(own_name(argv), "bwrap"))
        return run_bubblewrap(argc, argv);
    /* What servers try whether a root works with. */
    if (!strcmp(own_name(argv), "true"))
        return 0;
    const char *key = NULL, *output = NULL, *dependencies = NULL;
    for (int i = 1; i < argc; i++) {
        if (!strncmp(argv[i], MARK, strlen(MARK)))
            key = argv[i] + strlen(MARK);
        else if (!strcmp(argv[i], "-o") && i + 1 < argc)
            output = argv[++i];
        else if (!strcmp(argv[i], "-MF") && i + 1 < argc)
            dependencies = argv[++i];
        else if (!strcmp(argv[i], "-"))
            take_source();
    }
    int unit = key && output && !strchr(key, '/') ? open_unit(key) : -1;
    if (unit < 0)
        return compile(argv);
    return replay(unit, start, key, output, dependencies);
}

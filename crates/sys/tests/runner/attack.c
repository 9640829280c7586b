/* What a hostile job tries, a word each. Prints the name of the error, or "done". Static, so that
   it runs in any root. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/types.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static const char *error(long result) {
  return result < 0 ? strerrorname_np(errno) : "done";
}

static void say(const char *what, long result) {
  printf("%s %s\n", what, error(result));
}

#define TRY(name, ...) say(#name, syscall(SYS_##name, __VA_ARGS__))

/* System calls that a job does without. */
static void calls(void) {
  TRY(mount, "x", "/tmp", "tmpfs", 0L, 0L);
  TRY(umount2, "/proc", 2L);
  TRY(pivot_root, ".", ".");
  TRY(chroot, "/");
  TRY(fsopen, "tmpfs", 0L);
  TRY(open_tree, AT_FDCWD, "/", 1L);
  TRY(move_mount, -1L, "", -1L, "", 0L);
  TRY(mount_setattr, AT_FDCWD, "/", 0L, 0L, 0L);
  TRY(ptrace, PTRACE_ATTACH, 1L, 0L, 0L);
  TRY(process_vm_readv, 1L, 0L, 0L, 0L, 0L, 0L);
  TRY(process_vm_writev, 1L, 0L, 0L, 0L, 0L, 0L);
  TRY(pidfd_getfd, -1L, 0L, 0L);
  TRY(kcmp, 1L, 1L, 0L, 0L, 0L);
  TRY(bpf, 0L, 0L, 0L);
  TRY(perf_event_open, 0L, 0L, -1L, -1L, 0L);
  TRY(add_key, "user", "x", "x", 1L, -2L);
  TRY(keyctl, 0L, -3L, 1L);
  TRY(request_key, "user", "x", 0L, 0L);
  TRY(userfaultfd, 1L);
  TRY(kexec_load, 0L, 0L, 0L, 0L);
  TRY(init_module, 0L, 0L, "");
  TRY(finit_module, -1L, "", 0L);
  TRY(io_uring_setup, 1L, 0L);
  TRY(unshare, CLONE_NEWUSER);
  TRY(unshare, CLONE_NEWNET);
  TRY(setns, -1L, 0L);
  TRY(clone, (long)(CLONE_NEWUSER | SIGCHLD), 0L, 0L, 0L, 0L);
  TRY(clone3, 0L, 0L);
  TRY(open_by_handle_at, -1L, 0L, 0L);
  TRY(syslog, 3L, 0L, 0L);
  TRY(swapon, "/", 0L);
  TRY(reboot, 0L, 0L, 0L, 0L);
  TRY(acct, 0L);
  TRY(quotactl, 0L, 0L, 0L, 0L);
  TRY(memfd_create, "x", 0L);
  TRY(shmget, 0L, 4096L, 0666L);
  TRY(socket, AF_NETLINK, SOCK_RAW, 0L);
  TRY(socket, AF_PACKET, SOCK_RAW, 0L);
  TRY(socket, AF_VSOCK, SOCK_STREAM, 0L);
  TRY(socket, AF_ALG, SOCK_SEQPACKET, 0L);
  TRY(socket, AF_INET, SOCK_STREAM, 132L);
  TRY(socket, AF_INET, SOCK_RAW, 17L);
  TRY(ioctl, 0L, TIOCSTI, "x");
  TRY(fcntl, 0L, F_SETLEASE, F_RDLCK);
  TRY(sethostname, "x", 1L);
  TRY(mknodat, AT_FDCWD, "/tmp/disk", S_IFBLK | 0666, makedev(254, 0));
  TRY(mknodat, AT_FDCWD, "/tmp/mem", S_IFCHR | 0666, makedev(1, 1));
#ifdef __x86_64__
  TRY(iopl, 3L);
  /* The same call for programs of another kind. */
  say("x32", syscall(0x40000000 + SYS_getpid));
#endif
}

/* Every way to change a file that a job only got to read. */
static void change(const char *file, const char *beside) {
  char by_fd[64];
  struct timespec times[2] = {{1, 1}, {1, 1}};
  int fd = open(file, O_RDONLY);
  snprintf(by_fd, sizeof by_fd, "/proc/self/fd/%d", fd);
  say("open", open(file, O_WRONLY));
  say("truncate", truncate(file, 0));
  say("chmod", chmod(file, 0777));
  say("fchmod", fchmod(fd, 0777));
  say("chown", chown(file, getuid(), getgid()));
  say("utimens", utimensat(AT_FDCWD, file, times, 0));
  say("futimens", futimens(fd, times));
  say("setxattr", setxattr(file, "user.x", "x", 1, 0));
  say("link", link(file, beside));
  say("rename", rename(file, beside));
  say("reopen", open(by_fd, O_RDWR));
  say("map", mmap(0, 1, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0);
  say("unlink", unlink(file));
}

static void read_file(const char *path) {
  char buffer[256];
  int fd = open(path, O_RDONLY);
  long got = fd < 0 ? -1 : read(fd, buffer, sizeof buffer);
  printf("%s %s\n", path, error(got));
}

static void list(const char *path) {
  DIR *dir = opendir(path);
  struct dirent *entry;
  printf("%s", path);
  if (!dir) {
    printf(" %s\n", error(-1));
    return;
  }
  while ((entry = readdir(dir)))
    if (entry->d_name[0] != '.') printf(" %s", entry->d_name);
  printf("\n");
}

/* Descriptors that it was started with. */
static void descriptors(void) {
  char path[64], target[4096];
  for (int fd = 0; fd < 1024; fd++) {
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    long got = readlink(path, target, sizeof target - 1);
    if (got < 0) continue;
    target[got] = 0;
    printf("%d%s\n", fd, strstr(target, "socket:") ? " socket" : "");
  }
}

static void connect_port(int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  say("tcp", connect(fd, (struct sockaddr *)&address, sizeof address));
  address.sin_addr.s_addr = htonl(0x08080808);
  fd = socket(AF_INET, SOCK_DGRAM, 0);
  say("udp", sendto(fd, "x", 1, 0, (struct sockaddr *)&address, sizeof address));
}

static void abstract(const char *what, const char *name) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strcpy(address.sun_path + 1, name);
  socklen_t len = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  if (!strcmp(what, "bind")) {
    say("bind", bind(fd, (struct sockaddr *)&address, len));
    say("listen", listen(fd, 1));
    fflush(stdout);
    return;
  }
  say("connect", connect(fd, (struct sockaddr *)&address, len));
}

/* A server and its client in one job, as programs under test are. */
static void loopback(void) {
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t len = sizeof address;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int server = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
  say("bind", bind(server, (struct sockaddr *)&address, sizeof address));
  say("listen", listen(server, 1));
  getsockname(server, (struct sockaddr *)&address, &len);
  say("connect", connect(client, (struct sockaddr *)&address, len));
  say("accept", accept(server, 0, 0));
}

/* Signals to everybody whose number can be guessed. */
static void signals(void) {
  int reached = 0;
  for (int pid = 2; pid < 40000; pid++)
    if (pid != getpid() && kill(pid, SIGKILL) == 0) reached++;
  printf("reached %d\n", reached);
  say("init stop", kill(1, SIGSTOP));
  say("init kill", kill(1, SIGKILL));
  say("all", kill(-1, SIGKILL));
}

static void forks(void) {
  int count = 0;
  while (count < 200) {
    int pid = fork();
    if (pid < 0) break;
    if (pid == 0)
      for (;;) pause();
    count++;
  }
  printf("forks %d %s\n", count, error(-1));
}

static void bomb(void) {
  for (;;) fork();
}

static void fill(const char *how, size_t bytes) {
  const size_t step = 4 << 20;
  for (size_t done = 0; done < bytes; done += step) {
    int kind = !strcmp(how, "shared") ? MAP_SHARED : MAP_PRIVATE;
    void *at = mmap(0, step, PROT_READ | PROT_WRITE, kind | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) {
      printf("%zu MiB %s\n", done >> 20, error(-1));
      return;
    }
    memset(at, 1, step);
    if (!strcmp(how, "apart")) {
      /* Each process keeps one part and hands the rest on. */
      if (fork() == 0) continue;
      for (;;) pause();
    }
  }
  printf("filled\n");
}

/* Memory that belongs to no process and no file system of the job. */
static void memory_files(void) {
  static char block[4 << 20];
  for (int count = 0; count < 250; count++) {
    int fd = syscall(SYS_memfd_create, "x", 0);
    if (fd < 0 || write(fd, block, sizeof block) < 0) {
      printf("%d memory files %s\n", count, error(-1));
      return;
    }
  }
  printf("filled\n");
}

static void files(const char *dir) {
  char path[4096];
  static char block[1 << 20];
  for (int count = 0;; count++) {
    snprintf(path, sizeof path, "%s/f%d", dir, count);
    int fd = open(path, O_CREAT | O_WRONLY, 0666);
    if (fd < 0 || write(fd, block, sizeof block) < 0) {
      const char *name = error(-1);
      /* Room for this message. */
      unlink(path);
      snprintf(path, sizeof path, "%s/f0", dir);
      unlink(path);
      printf("%d files %s\n", count, name);
      return;
    }
    close(fd);
  }
}

static void names(const char *dir) {
  char path[4096];
  for (int count = 0;; count++) {
    snprintf(path, sizeof path, "%s/n%d", dir, count);
    if (mkdir(path, 0777) < 0) {
      printf("%d names %s\n", count, error(-1));
      return;
    }
  }
}

static void open_files(void) {
  int count = 0;
  while (open("/", O_RDONLY) >= 0) count++;
  printf("%d open %s\n", count + 3, error(-1));
}

/* A process that nobody waits for, in a session of its own. */
static void leave(const char *name) {
  if (fork() == 0) {
    setsid();
    if (fork() != 0) _exit(0);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    execl("/proc/self/exe", "attack", "wait", name, (char *)0);
  }
  sleep(0);
}

static void privileges(void) {
  struct rlimit core;
  printf("ids %d %d %d %d\n", getuid(), geteuid(), getgid(), getegid());
  printf("no_new_privs %d\n", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
  say("setuid", setuid(0));
  struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  getrlimit(RLIMIT_CORE, &core);
  printf("core %d %d\n", (int)core.rlim_cur, (int)core.rlim_max);
}

#ifdef __i386__
#error "static programs of this architecture only"
#endif

/* A system call of the 32-bit kind. */
static void foreign(void) {
#ifdef __x86_64__
  long result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "memory");
  printf("foreign %ld\n", result);
#else
  raise(SIGSYS);
#endif
}

int main(int argc, char **argv) {
  (void)argc;
  for (char **word = argv + 1; *word; word++) {
    if (!strcmp(*word, "calls")) calls();
    else if (!strcmp(*word, "change")) change(word[1], word[2]), word += 2;
    else if (!strcmp(*word, "read")) read_file(*++word);
    else if (!strcmp(*word, "list")) list(*++word);
    else if (!strcmp(*word, "descriptors")) descriptors();
    else if (!strcmp(*word, "port")) connect_port(atoi(*++word));
    else if (!strcmp(*word, "abstract")) abstract(word[1], word[2]), word += 2;
    else if (!strcmp(*word, "loopback")) loopback();
    else if (!strcmp(*word, "signals")) signals();
    else if (!strcmp(*word, "forks")) forks();
    else if (!strcmp(*word, "bomb")) bomb();
    else if (!strcmp(*word, "fill")) fill(word[1], (size_t)atoi(word[2]) << 20), word += 2;
    else if (!strcmp(*word, "memory-files")) memory_files();
    else if (!strcmp(*word, "files")) files(*++word);
    else if (!strcmp(*word, "names")) names(*++word);
    else if (!strcmp(*word, "open-files")) open_files();
    else if (!strcmp(*word, "leave")) leave(*++word);
    else if (!strcmp(*word, "privileges")) privileges();
    else if (!strcmp(*word, "foreign")) foreign();
    else if (!strcmp(*word, "crash")) raise(SIGSEGV);
    else if (!strcmp(*word, "wait"))
      for (;;) pause();
    else return 2;
  }
  fflush(stdout);
  return 0;
}

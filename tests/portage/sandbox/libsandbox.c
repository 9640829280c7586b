/*
 * Stands in for Gentoo's libsandbox.so in a test; see `sandbox` beside it. A write to a path that
 * is below no entry of SANDBOX_WRITE gets EACCES and a line in SANDBOX_LOG.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* An absolute path with the links of its directory resolved; what does not exist stays as it is. */
static void absolute(int dir, const char *path, char out[2 * PATH_MAX])
{
	char joined[2 * PATH_MAX], base[PATH_MAX], parent[2 * PATH_MAX], real[PATH_MAX];

	if (path[0] == '/') {
		snprintf(joined, sizeof joined, "%s", path);
	} else {
		char link[64];
		ssize_t n;
		snprintf(link, sizeof link, dir == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", dir);
		n = readlink(link, base, sizeof base - 1);
		if (n < 0)
			n = 0;
		base[n] = 0;
		snprintf(joined, sizeof joined, "%s/%s", base, path);
	}
	snprintf(parent, sizeof parent, "%s", joined);
	char *slash = strrchr(parent, '/');
	if (slash && slash != parent) {
		*slash = 0;
		if (realpath(parent, real)) {
			snprintf(out, 2 * PATH_MAX, "%s/%s", real, slash + 1);
			return;
		}
	}
	snprintf(out, 2 * PATH_MAX, "%s", joined);
}

static int is_below(const char *path, const char *list)
{
	while (list && *list) {
		size_t n = strcspn(list, ":");
		if (n > 0 && strncmp(path, list, n) == 0 && (path[n] == 0 || path[n] == '/'))
			return 1;
		list += n + (list[n] == ':');
	}
	return 0;
}

static int refused(const char *call, int dir, const char *path)
{
	const char *on = getenv("SANDBOX_ON"), *log = getenv("SANDBOX_LOG");
	char where[2 * PATH_MAX];

	if (!path || !on || strcmp(on, "1") != 0)
		return 0;
	absolute(dir, path, where);
	/* Files without a name, such as memfds, and anonymous pipes are nobody's business. */
	if (strncmp(where, "/proc/", 6) == 0 || is_below(where, getenv("SANDBOX_WRITE")))
		return 0;
	if (log) {
		int fd = REAL(open)(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0664);
		if (fd >= 0) {
			dprintf(fd, "%s: %s\n", call, where);
			close(fd);
		}
	}
	errno = EACCES;
	return 1;
}

static int writes(int flags)
{
	return (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC));
}

#define MODE_OF(flags)                                     \
	mode_t mode = 0;                                   \
	if ((flags) & (O_CREAT | O_TMPFILE)) {             \
		va_list args;                              \
		va_start(args, flags);                     \
		mode = va_arg(args, mode_t);               \
		va_end(args);                              \
	}

int open(const char *path, int flags, ...)
{
	MODE_OF(flags)
	return writes(flags) && refused("open", AT_FDCWD, path) ? -1 : REAL(open)(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	MODE_OF(flags)
	return writes(flags) && refused("open", AT_FDCWD, path) ? -1 : REAL(open64)(path, flags, mode);
}

int openat(int dir, const char *path, int flags, ...)
{
	MODE_OF(flags)
	return writes(flags) && refused("openat", dir, path) ? -1 : REAL(openat)(dir, path, flags, mode);
}

int openat64(int dir, const char *path, int flags, ...)
{
	MODE_OF(flags)
	return writes(flags) && refused("openat", dir, path) ? -1 : REAL(openat64)(dir, path, flags, mode);
}

FILE *fopen(const char *path, const char *mode)
{
	return strpbrk(mode, "wa+") && refused("fopen", AT_FDCWD, path) ? NULL : REAL(fopen)(path, mode);
}

FILE *fopen64(const char *path, const char *mode)
{
	return strpbrk(mode, "wa+") && refused("fopen", AT_FDCWD, path) ? NULL : REAL(fopen64)(path, mode);
}

int mkdir(const char *path, mode_t mode)
{
	struct stat there;
	/* Like the real one: making what exists already is not a violation. */
	if (lstat(path, &there) == 0) {
		errno = EEXIST;
		return -1;
	}
	return refused("mkdir", AT_FDCWD, path) ? -1 : REAL(mkdir)(path, mode);
}

int unlink(const char *path)
{
	return refused("unlink", AT_FDCWD, path) ? -1 : REAL(unlink)(path);
}

int unlinkat(int dir, const char *path, int flags)
{
	return refused("unlinkat", dir, path) ? -1 : REAL(unlinkat)(dir, path, flags);
}

int rmdir(const char *path)
{
	return refused("rmdir", AT_FDCWD, path) ? -1 : REAL(rmdir)(path);
}

int rename(const char *from, const char *to)
{
	return refused("rename", AT_FDCWD, from) || refused("rename", AT_FDCWD, to) ? -1
										     : REAL(rename)(from, to);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	return refused("renameat", from_dir, from) || refused("renameat", to_dir, to)
		       ? -1
		       : REAL(renameat)(from_dir, from, to_dir, to);
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	return refused("renameat2", from_dir, from) || refused("renameat2", to_dir, to)
		       ? -1
		       : REAL(renameat2)(from_dir, from, to_dir, to, flags);
}

int link(const char *from, const char *to)
{
	return refused("link", AT_FDCWD, to) ? -1 : REAL(link)(from, to);
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	return refused("linkat", to_dir, to) ? -1 : REAL(linkat)(from_dir, from, to_dir, to, flags);
}

int symlink(const char *target, const char *path)
{
	return refused("symlink", AT_FDCWD, path) ? -1 : REAL(symlink)(target, path);
}

int chmod(const char *path, mode_t mode)
{
	return refused("chmod", AT_FDCWD, path) ? -1 : REAL(chmod)(path, mode);
}

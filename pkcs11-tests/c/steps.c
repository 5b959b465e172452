/* Preloaded into a process: counts what it does to the files of one folder (STEPS_FOLDER), and at a chosen
 * step kills it, tears the write in two, or has no room on the disk from there on ("full"), or for as long as
 * there is a file STEPS_WHILE ("while").
 *
 * A step is a call that changes a file or folder, or syncs it. The process under test calls steps_arm
 * before and steps_disarm after the work that counts; each step then has a line in STEPS_LOG. A program that does
 * not know of this is armed from its start by STEPS_MODE and STEPS_AT. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static enum { COUNT, KILL, TORN, FULL, WHILE } mode;
static long wanted, done;
static int armed, log_file = -1;

void steps_arm(const char *how, long step) {
    const char *log = getenv("STEPS_LOG");
    mode = !strcmp(how, "kill") ? KILL : !strcmp(how, "torn") ? TORN : !strcmp(how, "full") ? FULL
         : !strcmp(how, "while") ? WHILE : COUNT;
    if (log) log_file = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    wanted = step;
    done = 0;
    armed = 1;
}

long steps_disarm(void) {
    armed = 0;
    if (log_file >= 0) close(log_file);
    log_file = -1;
    return done;
}

/* A process that cannot call it: armed from its start by STEPS_MODE and STEPS_AT. */
__attribute__((constructor)) static void steps_from_start(void) {
    const char *how = getenv("STEPS_MODE"), *at = getenv("STEPS_AT");
    if (how && at) steps_arm(how, atol(at));
}

static int ours(const char *path) {
    const char *folder = getenv("STEPS_FOLDER");
    return folder && !strncmp(path, folder, strlen(folder));
}

/* Whether the call is a step; does what the mode says. `room`: 1 for a write, 2 for another call that wants
 * room on the disk, 0 for one that does not. Answers 2 when there is no room, 3 when half of the write must
 * be done before the end. */
static int step(const char *what, const char *path, int room) {
    if (!armed || !ours(path)) return 0;
    done++;
    if (log_file >= 0) {
        static ssize_t (*raw)(int, const void *, size_t);
        char line[400];
        int length = snprintf(line, sizeof line, "%s %s\n", what, strrchr(path, '/') + 1);
        if (!raw) raw = (ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
        if (raw(log_file, line, (size_t)length) != length) abort();
    }
    if (mode == FULL && done >= wanted && room) return 2;
    if (mode == WHILE && room && getenv("STEPS_WHILE") && !access(getenv("STEPS_WHILE"), F_OK)) return 2;
    if (mode == TORN && done == wanted && room == 1) return 3;
    if ((mode == KILL || mode == TORN) && done == wanted) kill(getpid(), SIGKILL);
    return 1;
}

static int step_of(const char *what, int file, int room) {
    char link[64], path[4096];
    ssize_t length;
    if (!armed) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return step(what, path, room);
}

#define REAL(name, ...)                                                                             \
    static __typeof__(name) *real;                                                                  \
    if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

#define WRITE(name, file, size, half, whole)                                                        \
    REAL(name);                                                                                     \
    switch (step_of("write", file, 1)) {                                                            \
    case 2: errno = ENOSPC; return -1;                                                              \
    case 3: if (half < 0) abort(); kill(getpid(), SIGKILL); /* fall through */                      \
    default: return whole;                                                                          \
    }

ssize_t write(int file, const void *data, size_t size) {
    WRITE(write, file, size, real(file, data, size / 2), real(file, data, size))
}
ssize_t pwrite(int file, const void *data, size_t size, off_t at) {
    WRITE(pwrite, file, size, real(file, data, size / 2, at), real(file, data, size, at))
}
ssize_t pwrite64(int file, const void *data, size_t size, off64_t at) {
    WRITE(pwrite64, file, size, real(file, data, size / 2, at), real(file, data, size, at))
}

#define SIMPLE(result, name, parameters, asked, call)                                               \
    result name parameters {                                                                        \
        REAL(name);                                                                                 \
        if (asked == 2) {                                                                           \
            errno = ENOSPC;                                                                         \
            return -1;                                                                              \
        }                                                                                           \
        return real call;                                                                           \
    }

SIMPLE(int, fsync, (int file), step_of("sync", file, 0), (file))
SIMPLE(int, fdatasync, (int file), step_of("sync", file, 0), (file))
SIMPLE(int, ftruncate, (int file, off_t size), step_of("cut", file, 0), (file, size))
SIMPLE(int, ftruncate64, (int file, off64_t size), step_of("cut", file, 0), (file, size))
SIMPLE(int, fallocate, (int file, int how, off_t at, off_t size), step_of("room", file, 2), (file, how, at, size))
SIMPLE(int, link, (const char *from, const char *to), step("link", to, 2), (from, to))
SIMPLE(int, linkat, (int a, const char *from, int b, const char *to, int flags), step("link", to, 2), (a, from, b, to, flags))
SIMPLE(int, rename, (const char *from, const char *to), step("rename", to, 2), (from, to))
SIMPLE(int, unlink, (const char *path), step("remove", path, 0), (path))
SIMPLE(int, mkdir, (const char *path, mode_t bits), step("folder", path, 2), (path, bits))
SIMPLE(int, chmod, (const char *path, mode_t bits), step("chmod", path, 0), (path, bits))
SIMPLE(int, fchmod, (int file, mode_t bits), step_of("chmod", file, 0), (file, bits))

#define OPEN(name)                                                                                  \
    int name(const char *path, int flags, ...) {                                                    \
        mode_t bits = 0;                                                                            \
        REAL(name);                                                                                 \
        if (flags & O_CREAT) {                                                                      \
            va_list rest;                                                                           \
            va_start(rest, flags);                                                                  \
            bits = va_arg(rest, mode_t);                                                            \
            va_end(rest);                                                                           \
            if (access(path, F_OK) && step("make", path, 2) == 2) {                                 \
                errno = ENOSPC;                                                                     \
                return -1;                                                                          \
            }                                                                                       \
        }                                                                                           \
        return real(path, flags, bits);                                                             \
    }

OPEN(open)
OPEN(open64)

// Preloaded into a daemon, ends it with SIGKILL at the N-th call of a set: a power switch for
// tests, with a finger at every point at which something of the process outlives it.
//
//   UMBRA_KILL_AT=N                 the call to die at, counted from 1; unset or 0: never
//   UMBRA_KILL_WHEN=before|after    before the call is made (the default), or when it has returned
//   UMBRA_KILL_CALL=fsync,rename    which calls count: fsync fdatasync rename write pwrite send
//   UMBRA_KILL_LINGER=MILLISECONDS  how long the call hangs before death; other threads go on, and
//                                   may do what they should not have done without it
//
// `write` and `pwrite` count on regular files other than standard output and error (the log);
// `send` stands for sendmsg too.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static atomic_long calls;
static long kill_at;
static bool kill_after;
static struct timespec linger;
static const char* counted;

__attribute__((constructor)) static void read_environment(void) {
  const char* const number = getenv("UMBRA_KILL_AT");
  const char* const when = getenv("UMBRA_KILL_WHEN");
  const char* const names = getenv("UMBRA_KILL_CALL");
  const char* const pause_ms = getenv("UMBRA_KILL_LINGER");
  kill_at = number != NULL ? strtol(number, NULL, 10) : 0;
  kill_after = when != NULL && strcmp(when, "after") == 0;
  if (pause_ms != NULL) {
    const long ms = strtol(pause_ms, NULL, 10);
    linger = (struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
  }
  counted = names != NULL ? names : "fsync,fdatasync,rename";
}

static bool counts(const char* name) {
  const size_t length = strlen(name);
  for (const char* at = counted; at != NULL; at = strchr(at, ',')) {
    if (*at == ',') ++at;
    if (strncmp(at, name, length) == 0 && (at[length] == ',' || at[length] == '\0')) return true;
  }
  return false;
}

static bool is_data(int file) {
  struct stat status;
  return file > STDERR_FILENO && fstat(file, &status) == 0 && S_ISREG(status.st_mode);
}

static void die(void) {
  nanosleep(&linger, NULL);
  kill(getpid(), SIGKILL);
  for (;;) pause();  // the signal ends every thread; this one waits for it
}

/// True if this is the call to die at.
static bool fatal(const char* name) {
  if (kill_at <= 0 || !counts(name)) return false;
  if (atomic_fetch_add(&calls, 1) + 1 != kill_at) return false;
  if (!kill_after) die();
  return true;
}

static void* next(const char* name) {
  void* const function = dlsym(RTLD_NEXT, name);
  if (function == NULL) abort();
  return function;
}

// A function of the C library behind one of ours of the same name. POSIX wants dlsym's answer to
// be a function; the assignment through void** is how ISO C lets it be said.
#define REPLACE(result, name, parameters, arguments, what, if_counted) \
  result name parameters {                                             \
    static result(*_Atomic known) parameters;                          \
    result(*real) parameters = atomic_load(&known);                    \
    if (real == NULL) {                                                \
      *(void**)(&real) = next(#name);                                  \
      atomic_store(&known, real);                                      \
    }                                                                  \
    const bool last = (if_counted) && fatal(what);                     \
    const result outcome = real arguments;                             \
    if (last) die();                                                   \
    return outcome;                                                    \
  }

REPLACE(int, fsync, (int file), (file), "fsync", true)
REPLACE(int, fdatasync, (int file), (file), "fdatasync", true)
REPLACE(int, rename, (const char* from, const char* to), (from, to), "rename", true)
REPLACE(ssize_t, write, (int file, const void* data, size_t size), (file, data, size), "write",
        is_data(file))
REPLACE(ssize_t, pwrite, (int file, const void* data, size_t size, off_t at),
        (file, data, size, at), "pwrite", is_data(file))
REPLACE(ssize_t, pwrite64, (int file, const void* data, size_t size, off64_t at),
        (file, data, size, at), "pwrite", is_data(file))
REPLACE(ssize_t, send, (int socket, const void* data, size_t size, int flags),
        (socket, data, size, flags), "send", true)
REPLACE(ssize_t, sendmsg, (int socket, const struct msghdr* message, int flags),
        (socket, message, flags), "send", true)

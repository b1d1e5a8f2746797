// Preloaded into a daemon, gives it a clock of its own that steps when it is told: what NTP, or
// somebody with `date`, does to the clock of a whole machine, done to one process.
//
//   UMBRA_CLOCK_FILE=FILE  eight octets, the seconds by which the clock is ahead (negative: behind)
//
// SIGUSR2 says that it has been stepped. As the kernel does then, it ends the wait for every timer
// that was armed with TFD_TIMER_CANCEL_ON_SET.

#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { TIMERS_MAX = 16 };

static const volatile int64_t* ahead;
static atomic_int timers[TIMERS_MAX];  // descriptors, and 1 more than they are: 0 is none

static int64_t seconds_ahead(void) { return ahead != NULL ? *ahead : 0; }

/// Fires what waits for a step: a time that is over ends its wait.
static void stepped(int number) {
  (void)number;
  const struct itimerspec over = {.it_value = {.tv_sec = 1}};
  for (int i = 0; i < TIMERS_MAX; ++i) {
    const int file = atomic_exchange(&timers[i], 0) - 1;
    if (file >= 0) syscall(SYS_timerfd_settime, file, TFD_TIMER_ABSTIME, &over, NULL);
  }
}

__attribute__((constructor)) static void read_environment(void) {
  const char* const path = getenv("UMBRA_CLOCK_FILE");
  if (path == NULL) return;
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) abort();
  void* const mapped = mmap(NULL, sizeof *ahead, PROT_READ, MAP_SHARED, file, 0);
  if (mapped == MAP_FAILED) abort();
  close(file);
  ahead = mapped;
  const struct sigaction action = {.sa_handler = stepped, .sa_flags = SA_RESTART};
  sigaction(SIGUSR2, &action, NULL);
}

int clock_gettime(clockid_t which, struct timespec* out) {
  const int status = (int)syscall(SYS_clock_gettime, which, out);
  if (status == 0 && which == CLOCK_REALTIME) out->tv_sec += seconds_ahead();
  return status;
}

time_t time(time_t* out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out != NULL) *out = now.tv_sec;
  return now.tv_sec;
}

int gettimeofday(struct timeval* restrict out, void* restrict zone) {
  (void)zone;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  out->tv_sec = now.tv_sec;
  out->tv_usec = now.tv_nsec / 1000;
  return 0;
}

int timerfd_settime(int file, int flags, const struct itimerspec* value, struct itimerspec* before) {
  const int status = (int)syscall(SYS_timerfd_settime, file, flags, value, before);
  if (status != 0 || (flags & TFD_TIMER_CANCEL_ON_SET) == 0) return status;
  for (int i = 0; i < TIMERS_MAX; ++i) {
    int none = 0;
    if (atomic_load(&timers[i]) == file + 1) break;
    if (atomic_compare_exchange_strong(&timers[i], &none, file + 1)) break;
  }
  return status;
}

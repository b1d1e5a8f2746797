#include "io/privacy.h"

#include <sys/prctl.h>
#include <sys/resource.h>

namespace umbra::io {

void keep_memory_private() {
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
#if !defined(__SANITIZE_ADDRESS__)  // LeakSanitizer attaches to the process to look for leaks
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

}  // namespace umbra::io

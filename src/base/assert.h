#pragma once

/// Aborts with the place and the text if a broken invariant is seen, in release builds too.
/// Start-up rebuilds all state from the store, so stopping is always safe; going on with a broken
/// invariant is not.
#define UMBRA_ENSURE(condition, text) \
  ((condition) ? void(0) : ::umbra::ensure_failed(#condition, text, __FILE__, __LINE__))

namespace umbra {
[[noreturn]] void ensure_failed(const char* condition, const char* text, const char* file,
                                int line);
}  // namespace umbra

#pragma once

#include <string>
#include <utility>

#include <tl/expected.hpp>

namespace umbra {

/// Why an operation failed. One code per different reaction of a caller; everything else is detail
/// text.
enum class Errc {
  malformed,    ///< the input breaks its grammar or bounds: refuse it
  unsupported,  ///< well formed, but an algorithm or form we do not take (badAlg)
  not_found,    ///< what was named is not there
  conflict,     ///< it contradicts what is stored: nothing was changed
  storage,      ///< disk or database: nothing was changed, try again later
  crypto,       ///< a signature or decryption did not check out, or OpenSSL refused
  unreachable,  ///< the network or the peer gave no usable answer: try again later
};

/// Tests and callers read `code`; people read `detail`.
struct Error {
  Errc code;
  std::string detail;
};

template <class T>
using Result = tl::expected<T, Error>;

[[nodiscard]] inline tl::unexpected<Error> fail(Errc code, std::string detail) {
  return tl::unexpected(Error{code, std::move(detail)});
}

}  // namespace umbra

#define UMBRA_JOIN_(a, b) a##b
#define UMBRA_JOIN(a, b) UMBRA_JOIN_(a, b)
#define UMBRA_TRY_(r, decl, expr)                      \
  auto r = (expr);                                     \
  if (!r) return tl::unexpected(std::move(r).error()); \
  decl = *std::move(r)
/// UMBRA_TRY(auto cert, parse(der)); returns the error to the caller, or binds the value.
#define UMBRA_TRY(decl, expr) UMBRA_TRY_(UMBRA_JOIN(try_, __LINE__), decl, expr)
/// UMBRA_CHECK(store.commit(batch)); the same for Result<void>.
#define UMBRA_CHECK(expr) \
  if (auto checked = (expr); !checked) return tl::unexpected(std::move(checked).error())

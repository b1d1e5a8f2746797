#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/counters.h"
#include "base/time.h"
#include "server/status.h"
#include "x509/key_line.h"

/// Screens of what is held and was counted, in IOS's layout.
namespace umbra::console {

/// `show crypto pki server NAME certificates`: the head, and a line.
[[nodiscard]] std::string certificate_list_head();
[[nodiscard]] std::string certificate_list_line(const server::CertificateLine& line,
                                                const TimeZone& zone);

/// `show crypto key mypubkey`. A key that was not saved has no storage device yet, as on IOS.
struct ShownKey {
  x509::KeyLine line;
  bool saved = false;
};
/// `with_size`: as IOS shows a key that is named.
[[nodiscard]] std::string keys_screen(const std::vector<ShownKey>& keys, const TimeZone& zone,
                                      bool with_size = false);

/// One CRL of `show crypto pki crls`.
struct HeldCrl {
  std::string issuer;
  Time this_update;
  std::optional<Time> next_update;
  std::size_t octets = 0;
  std::optional<Time> fetched_at;  ///< nothing: made here
  std::string source;              ///< where it is from, for people
};
[[nodiscard]] std::string crls_screen(const std::vector<HeldCrl>& crls, const TimeZone& zone);

/// `show crypto pki counters`.
[[nodiscard]] std::string counters_screen(const Counters& counters);

}  // namespace umbra::console

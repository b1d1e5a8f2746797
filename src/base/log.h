#pragma once

#include <string>
#include <string_view>

namespace umbra {

/// Syslog severities as in `%PKI-6-CS_ENABLED`: 1 alert, 2 critical, 3 error, 4 warning, 5 notice,
/// 6 informational.
enum class Severity {
  alert = 1,
  critical = 2,
  error = 3,
  warning = 4,
  notice = 5,
  informational = 6
};

/// One line of the log in IOS's shape: %FACILITY-SEVERITY-MNEMONIC: text.
struct LogEvent {
  Severity severity;
  std::string_view mnemonic;  ///< CS_ENABLED, CERTRET ...
  std::string text;
  std::string_view facility = "PKI";
};
[[nodiscard]] std::string to_string(const LogEvent& event);

/// Where lines go. The real one writes to stderr with the clock's time in front; tests keep them.
/// Thread-safe. No secret may ever be passed in: no key, no password, no plaintext of an envelope.
class Log {
 public:
  virtual ~Log() = default;
  virtual void event(const LogEvent& event) = 0;
  /// `debug crypto pki ...` lines; `category` is IOS's head: CRYPTO_CS for the server, CRYPTO_PKI
  /// for the client.
  virtual void debug(std::string_view category, std::string_view text) = 0;
  /// Whether anybody reads what `debug` is told of this category: who has to put a text together
  /// first asks.
  [[nodiscard]] virtual bool debugs(std::string_view /*category*/) const { return true; }
};

}  // namespace umbra

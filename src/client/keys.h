#pragma once

#include <string>
#include <vector>

#include "base/log.h"
#include "base/time.h"
#include "store/store.h"
#include "x509/key_line.h"

namespace umbra::client {

/// What `crypto key generate` was asked for.
struct KeyWish {
  std::string label;
  bool ec = false;
  int bits = 2048;
  bool exportable = false;
};

/// A key that no trustpoint has taken yet.
struct WaitingKey {
  std::string label;
  bool exportable = false;
  Time created_at;
};

/// Keys that were made ahead of the trustpoints that name them: the first request of a trustpoint
/// with this label takes its key along, and from then on it is that trustpoint's. Thread-safe.
class KeyRing {
 public:
  KeyRing(store::Store& store, const Clock& clock, Log& log, std::string passphrase);

  /// Replaces what waits under this label. Cost: an RSA key. Errors: unsupported, crypto, storage.
  [[nodiscard]] Result<void> generate(const KeyWish& wish);
  [[nodiscard]] Result<std::vector<WaitingKey>> waiting() const;
  /// The same for the screens. Cost: a key derivation each. Errors: storage, crypto.
  [[nodiscard]] Result<std::vector<x509::KeyLine>> lines() const;
  /// Errors: storage.
  [[nodiscard]] Result<void> remove(const std::string& label);

 private:
  store::Store& store_;
  const Clock& clock_;
  Log& log_;
  const std::string passphrase_;
};

}  // namespace umbra::client

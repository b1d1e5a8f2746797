#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "scep/message.h"
#include "x509/certificate.h"

/// What a process has from the outside besides its clock, disk and network, and a seed fixes too.
///
/// OpenSSL's randomness comes from the seed. RSA keys are taken from a pool that is always the
/// same, and keys are sealed with one round, for both take longer than a story may. Whoever would
/// wait for the store's thread runs what that thread would do, so that one thread plays everything.
namespace umbra::simulation {

/// Once, before anything else.
void install_process();
/// Makes keys ahead, before workers are forked that would each make them.
void make_keys();
/// Begins a seed: randomness anew, and the pool of keys from its first.
void begin_seed(std::uint64_t seed);

/// Run where the code under test would wait; false if there is nothing to run: it waits for ever.
void set_idle(std::function<bool()> idle);

/// Who looks on while certificates and CRLs are signed, and while answers of certificates are made.
struct Witness {
  std::function<void(const x509::Certificate&)> signed_one;
  std::function<void(ByteView crl)> signed_crl;
  std::function<void(const scep::Answer&, const Bytes& reply)> answer_made;
};
void set_witness(Witness witness);

}  // namespace umbra::simulation

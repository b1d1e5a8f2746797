#include "x509/sealed_stream.h"

#include <openssl/kdf.h>

#include <algorithm>
#include <array>

#include "x509/key.h"
#include "x509/ossl.h"

namespace umbra::x509 {
namespace {

constexpr std::string_view magic = "UMBRABK1";
constexpr std::size_t salt_at = magic.size() + 4;
constexpr std::size_t salt_octets = 16;
constexpr std::size_t header_octets = salt_at + salt_octets;
constexpr std::size_t chunk_octets = 65536;
constexpr std::size_t tag_octets = 16;
constexpr std::size_t key_octets = 32;
constexpr std::size_t nonce_octets = 12;

// What is written, beside `cost`: RFC 7914's form of cost, 128 * N * r octets of memory.
constexpr std::uint8_t block_size = 8;
constexpr std::uint8_t parallel = 1;
// What is read: a header that asks for more was not written by us, and would only take our memory.
constexpr std::uint8_t cost_log2_max = 20;
constexpr std::uint64_t memory_max = std::uint64_t{1200} << 20U;

using Header = std::array<std::uint8_t, header_octets>;

/// A key in memory, wiped in the end.
struct Key {
  std::array<std::uint8_t, key_octets> octets{};
  Key() = default;
  Key(const Key&) = delete;
  Key& operator=(const Key&) = delete;
  ~Key() { wipe(octets); }
};

Result<void> derive(Key& key, std::string_view passphrase, const Header& header) {
  const std::uint64_t n = std::uint64_t{1} << header[magic.size()];
  if (EVP_PBE_scrypt(passphrase.data(), passphrase.size(), header.data() + salt_at, salt_octets, n,
                     header[magic.size() + 1], header[magic.size() + 2], memory_max,
                     key.octets.data(), key.octets.size()) != 1) {
    return ossl::failed(Errc::crypto, "deriving a key from the passphrase");
  }
  return {};
}

std::array<std::uint8_t, nonce_octets> nonce_of(std::uint64_t number, bool last) {
  std::array<std::uint8_t, nonce_octets> nonce{};
  nonce.back() = last ? 1 : 0;
  for (std::size_t i = 0; i < sizeof number; ++i)
    nonce[nonce_octets - 2 - i] = static_cast<std::uint8_t>(number >> (8 * i));
  return nonce;
}

class Writer final : public SealWriter {
 public:
  explicit Writer(Sink sink) : sink_(std::move(sink)) { plain_.reserve(chunk_octets); }
  ~Writer() override { wipe(plain_); }

  Result<void> begin(std::string_view passphrase, std::uint8_t cost) {
    std::copy(magic.begin(), magic.end(), header_.begin());
    header_[magic.size()] = cost;
    header_[magic.size() + 1] = block_size;
    header_[magic.size() + 2] = parallel;
    random_octets(std::span(header_).subspan(salt_at));
    UMBRA_CHECK(derive(key_, passphrase, header_));
    return sink_(header_);
  }

  Result<void> write(ByteView plain) override {
    while (!plain.empty()) {
      // A full chunk waits for what follows: only then is it known not to be the last.
      if (plain_.size() == chunk_octets) UMBRA_CHECK(put(false));
      const std::size_t now = std::min(plain.size(), chunk_octets - plain_.size());
      plain_.insert(plain_.end(), plain.begin(), plain.begin() + static_cast<std::ptrdiff_t>(now));
      plain = plain.subspan(now);
    }
    return {};
  }

  Result<void> finish() override { return put(true); }

 private:
  Result<void> put(bool last) {
    const auto nonce = nonce_of(number_++, last);
    Bytes sealed(plain_.size() + tag_octets);
    const ossl::Cipher context(EVP_CIPHER_CTX_new());
    int size = 0;
    if (!context ||
        EVP_EncryptInit_ex2(context.get(), EVP_aes_256_gcm(), key_.octets.data(), nonce.data(),
                            nullptr) != 1 ||
        EVP_EncryptUpdate(context.get(), nullptr, &size, header_.data(),
                          static_cast<int>(header_.size())) != 1 ||
        (!plain_.empty() && EVP_EncryptUpdate(context.get(), sealed.data(), &size, plain_.data(),
                                              static_cast<int>(plain_.size())) != 1) ||
        EVP_EncryptFinal_ex(context.get(), sealed.data() + plain_.size(), &size) != 1 ||
        EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, tag_octets,
                            sealed.data() + plain_.size()) != 1) {
      return ossl::failed(Errc::crypto, "sealing a backup");
    }
    wipe(plain_);
    plain_.clear();
    return sink_(sealed);
  }

  Sink sink_;
  Header header_{};
  Key key_;
  Bytes plain_;
  std::uint64_t number_ = 0;
};

class Reader final : public SealReader {
 public:
  explicit Reader(Source source) : source_(std::move(source)) {}
  ~Reader() override { wipe(plain_); }

  Result<void> begin(std::string_view passphrase) {
    UMBRA_TRY(const std::size_t got, fill(header_));
    if (got < header_.size() || !std::equal(magic.begin(), magic.end() - 1, header_.begin()))
      return fail(Errc::malformed, "it is no backup of Umbra's");
    if (header_[magic.size() - 1] != static_cast<std::uint8_t>(magic.back()))
      return fail(Errc::unsupported, "it was made by a newer version of Umbra, which can read it");
    const std::uint8_t log2 = header_[magic.size()];
    const std::uint64_t r = header_[magic.size() + 1], p = header_[magic.size() + 2];
    if (log2 < 1 || log2 > cost_log2_max || r < 1 || p < 1 || p > 4 ||
        (std::uint64_t{128} << log2) * r > memory_max) {
      return fail(Errc::malformed,
                  "it asks for more memory than any backup does; its first octets "
                  "were changed");
    }
    UMBRA_CHECK(derive(key_, passphrase, header_));
    UMBRA_TRY(const std::size_t first, read_sealed(ahead_));
    static_cast<void>(first);
    return {};
  }

  Result<std::size_t> read(std::span<std::uint8_t> out) override {
    while (at_ == plain_.size() && !ended_) UMBRA_CHECK(open_next());
    const std::size_t now = std::min(out.size(), plain_.size() - at_);
    std::copy_n(plain_.begin() + static_cast<std::ptrdiff_t>(at_), now, out.begin());
    at_ += now;
    return now;
  }

 private:
  Result<std::size_t> fill(std::span<std::uint8_t> out) {
    std::size_t all = 0;
    while (all < out.size()) {
      UMBRA_TRY(const std::size_t got, source_(out.subspan(all)));
      if (got == 0) break;
      all += got;
    }
    return all;
  }
  Result<std::size_t> read_sealed(Bytes& into) {
    into.resize(chunk_octets + tag_octets);
    UMBRA_TRY(const std::size_t got, fill(into));
    into.resize(got);
    return got;
  }

  /// A chunk is the last one if nothing follows it.
  Result<void> open_next() {
    Bytes next;
    if (ahead_.size() == chunk_octets + tag_octets) UMBRA_CHECK(read_sealed(next));
    const bool last = next.empty();
    if (ahead_.size() < tag_octets) return broken();
    const std::size_t size = ahead_.size() - tag_octets;
    const auto nonce = nonce_of(number_++, last);
    wipe(plain_);
    plain_.resize(size);
    const ossl::Cipher context(EVP_CIPHER_CTX_new());
    int got = 0;
    std::uint8_t none = 0;
    if (!context ||
        EVP_DecryptInit_ex2(context.get(), EVP_aes_256_gcm(), key_.octets.data(), nonce.data(),
                            nullptr) != 1 ||
        EVP_DecryptUpdate(context.get(), nullptr, &got, header_.data(),
                          static_cast<int>(header_.size())) != 1 ||
        (size != 0 && EVP_DecryptUpdate(context.get(), plain_.data(), &got, ahead_.data(),
                                        static_cast<int>(size)) != 1) ||
        EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, tag_octets,
                            ahead_.data() + size) != 1 ||
        EVP_DecryptFinal_ex(context.get(), &none, &got) != 1) {
      wipe(plain_);
      plain_.clear();
      at_ = 0;
      return broken();
    }
    at_ = 0;
    ended_ = last;
    ahead_ = std::move(next);
    return {};
  }

  tl::unexpected<Error> broken() {
    return ossl::failed(
        Errc::crypto, number_ <= 1 ? "it does not open: another passphrase, or it was changed"
                                   : "it was changed, or cut off, behind its first " +
                                         std::to_string((number_ - 1) * chunk_octets) + " octets");
  }

  Source source_;
  Header header_{};
  Key key_;
  Bytes ahead_;  ///< sealed, and not opened yet
  Bytes plain_;
  std::size_t at_ = 0;
  bool ended_ = false;
  std::uint64_t number_ = 0;
};

}  // namespace

Result<std::unique_ptr<SealWriter>> SealWriter::begin(std::string_view passphrase, Sink sink,
                                                      std::uint8_t cost) {
  auto writer = std::make_unique<Writer>(std::move(sink));
  UMBRA_CHECK(writer->begin(passphrase, cost));
  return writer;
}

Result<std::unique_ptr<SealReader>> SealReader::begin(std::string_view passphrase, Source source) {
  auto reader = std::make_unique<Reader>(std::move(source));
  UMBRA_CHECK(reader->begin(passphrase));
  return reader;
}

}  // namespace umbra::x509

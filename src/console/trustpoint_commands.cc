#include <algorithm>

#include "console/exec_result.h"
#include "x509/pem.h"
#include "x509/pkcs12.h"

/// What is done to a trustpoint, and to keys, by hand.
namespace umbra::console {
namespace {

using config::Match;

constexpr std::size_t passphrase_min = 8;  // as IOS
constexpr std::size_t pem_columns = 64;
constexpr std::size_t shown_max = 2;
constexpr std::size_t md5_digits = 32;
constexpr std::uint8_t der_sequence = 0x30;
constexpr std::string_view accept_question = "% Do you accept this certificate?";

std::string digits_only(std::string text) {
  std::erase_if(text, [](char c) { return c == ' ' || c == '\t'; });
  for (char& c : text) {
    if (c >= 'a' && c <= 'f') c = static_cast<char>(c - 32);
  }
  return text;
}

std::string attributes(const x509::Certificate& ca) {
  return fmt::format(
      "Certificate has the following attributes:\n"
      "       Fingerprint MD5: {}\n      Fingerprint SHA1: {}\n    Fingerprint SHA256: {}\n",
      fingerprint(ca, x509::Digest::md5), fingerprint(ca, x509::Digest::sha1),
      fingerprint(ca, x509::Digest::sha256));
}

bool is_fingerprint_of(const x509::Certificate& ca, std::string_view digits) {
  switch (digits.size()) {
    case 32:
      return to_hex(ca.fingerprint(x509::Digest::md5)) == digits;
    case 40:
      return to_hex(ca.fingerprint(x509::Digest::sha1)) == digits;
    case 64:
      return to_hex(ca.fingerprint(x509::Digest::sha256)) == digits;
    default:
      return false;
  }
}

/// PEM, or bare base64, as it was pasted.
Result<x509::Certificate> certificate_in(std::string_view text) {
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos)
    return fail(Errc::malformed, "No certificate was entered; nothing is changed");
  if (text.find("-----BEGIN ") != std::string_view::npos) return x509::Certificate::from_pem(text);
  const auto der = from_base64(text);
  if (!der || der->empty() || der->front() != der_sequence) {
    return fail(Errc::malformed,
                "this is no certificate: expected PEM (-----BEGIN CERTIFICATE-----) or base64");
  }
  return x509::Certificate::from_der(*der);
}

ExecResult answer(const Result<void>& result, std::string text) {
  return result ? ExecResult{true, std::move(text)} : failed(result.error());
}

/// One of the files that IOS keeps apart by their endings.
std::string beside(const std::string& url, std::string_view ending) {
  return url + std::string(ending);
}

/// What `crypto key zeroize` has come to with each of those that have the key.
struct Zeroized {
  std::vector<std::string> gone;
  std::vector<std::string> failures;
  std::vector<std::string> remarks;

  void add(const std::string& whose, const Result<void>& removed) {
    if (removed) return gone.push_back(whose);
    failures.push_back(whose + ": " + removed.error().detail);
  }
  [[nodiscard]] ExecResult answer(bool keys_alone) const {
    std::string out;
    for (const std::string& one : failures) out += "% Not removed: " + one + "\n";
    if (!failures.empty()) {
      for (const std::string& one : gone) out += "% Removed: " + one + "\n";
    } else {
      out = keys_alone ? "% Keys are removed\n"
                       : "% Keys and certificates are removed, and withdrawn from the files of "
                         "\"storage\"\n";
    }
    for (const std::string& one : remarks) out += "% " + one + "\n";
    return {failures.empty(), out};
  }
};

void accept(const TrustpointControl& found, const x509::Certificate& ca, const std::string& shown,
            const ExecDone& done) {
  found.accept_ca(ca, [done, shown](const Result<void>& accepted) {
    if (accepted) {
      done({true, shown + "\nTrustpoint CA certificate accepted.\n"});
    } else {
      done(failed(shown + fmt::format("\n% {}\n", accepted.error().detail)));
    }
  });
}

void show_and_ask(ShownAuthorities& shown, const std::string& name, const x509::Certificate& ca,
                  const ExecDone& done) {
  {
    const std::lock_guard lock(shown.mutex);
    auto& waiting = shown.waiting[name];
    if (std::find(waiting.begin(), waiting.end(), ca) == waiting.end() &&
        waiting.size() < shown_max)
      waiting.push_back(ca);
  }
  done(*to_ask(std::nullopt, attributes(ca) + "\n", accept_question));
}

}  // namespace

bool Exec::trustpoint_command(const Match& match, const std::optional<std::string>& input,
                              const ExecDone& done) const {
  const std::string_view key = match.command->key;
  if (key.starts_with("crypto key generate ")) {
    done(generate_key(match, input));
    return true;
  }
  if (key == "crypto key zeroize") {
    zeroize(match, input, done);
    return true;
  }
  const bool ours = key == "crypto pki authenticate" || key.ends_with("crypto pki enroll") ||
                    key.starts_with("crypto pki import ") ||
                    key.starts_with("crypto pki export ") ||
                    key == "crypto pki certificate validate" || key == "crypto pki crl request";
  if (!ours) return false;
  const std::string name = match.text("NAME");
  const TrustpointControl* const found = trustpoint(name);
  if (!found) {
    done(unknown_trustpoint(name));
  } else if (key == "crypto pki authenticate") {
    authenticate(*found, match, input, done);
  } else if (key == "crypto pki enroll") {
    enroll(*found, done);
  } else if (!found->hand) {
    done(failed("% Nothing can be done to this trustpoint by hand\n"));
  } else if (key == "no crypto pki enroll") {
    found->hand->cancel([done](const Result<void>& cancelled) {
      done(answer(cancelled,
                  "% The enrollment request is cancelled; nothing is asked for until "
                  "`crypto pki enroll`\n"));
    });
  } else if (key.starts_with("crypto pki import ")) {
    import_keys(*found, match, input, done);
  } else if (key.starts_with("crypto pki export ")) {
    export_keys(*found, match, done);
  } else if (key == "crypto pki crl request") {
    found->hand->request_crl([done, zone = environment_->zone](const Result<x509::CrlFacts>& crl) {
      if (!crl) return done(failed(crl.error()));
      done({true,
            fmt::format("% CRL of {}: made {}, {} certificate(s) revoked\n", crl->issuer.joined(),
                        to_ios_time(crl->this_update, zone), crl->revoked.size())});
    });
  } else {
    found->hand->validate([done, name](const Result<client::Validation>& validation) {
      if (!validation) return done(failed(validation.error()));
      const auto& lines = validation->lines;
      const bool good =
          std::all_of(lines.begin(), lines.end(), [](const auto& line) { return line.good; });
      std::string out;
      for (const auto& line : lines)
        out += fmt::format("  {}: {} ({})\n", line.what, line.good ? "good" : "NOT GOOD", line.why);
      out += fmt::format("Certificate chain for {} is {}\n", name, good ? "valid" : "invalid");
      done({good, out});
    });
  }
  return true;
}

void Exec::authenticate(const TrustpointControl& found, const Match& match,
                        const std::optional<std::string>& input, const ExecDone& done) const {
  const std::string name = found.name;
  const std::string digits = digits_only(match.text("HEX"));
  const client::Status status = found.status();
  const auto nothing_shown = [this, &name] {
    const std::lock_guard lock(environment_->shown->mutex);
    return environment_->shown->waiting[name].empty();
  };
  const bool pasted =
      input && ((input->find('\n') != std::string::npos && input->size() > pem_columns) ||
                (status.ca_by_hand && nothing_shown()));
  if (input && !pasted) {
    if (auto question = to_ask(input, "", accept_question)) return done(*std::move(question));
    std::vector<x509::Certificate> waiting;
    {
      const std::lock_guard lock(environment_->shown->mutex);
      waiting.swap(environment_->shown->waiting[name]);
    }
    if (!says_yes(*input)) return done(failed("% Certificate not accepted.\n"));
    // What was shown to somebody else meanwhile, he may not have seen.
    if (waiting.size() != 1) {
      return done(
          failed("% Which certificate? Another one has been shown meanwhile; say the "
                 "command again.\n"));
    }
    return accept(found, waiting.front(), "", done);
  }
  if (status.ca_by_hand && !pasted) {
    return done({true,
                 "Enter the base 64 encoded CA certificate.\n"
                 "End with a blank line or the word \"quit\" on a line by itself\n",
                 Ask::text});
  }
  const auto offered = [shown_to = environment_->shown, found, digits, pinned = status.pinned,
                        pinned_by_md5 = status.pinned_by_md5, done](const x509::Certificate& ca) {
    const std::string shown = attributes(ca);
    if (!digits.empty() && !is_fingerprint_of(ca, digits)) {
      return done(failed(shown + "\n% None of these is the fingerprint given: the certificate is "
                                 "not accepted.\n"));
    }
    // A pinned one that is not what is configured is refused below.
    const bool by_md5 = digits.size() == md5_digits || (digits.empty() && pinned_by_md5);
    const std::string warned =
        by_md5 ? shown + "% Warning: an MD5 fingerprint can be forged; compare the SHA256 one\n"
               : shown;
    if (!digits.empty() || pinned) return accept(found, ca, warned, done);
    show_and_ask(*shown_to, found.name, ca, done);
  };
  if (status.ca_by_hand) {
    const auto ca = certificate_in(*input);
    if (!ca) return done(failed(ca.error()));
    return offered(*ca);
  }
  found.fetch_ca([offered, done](const Result<x509::Certificate>& ca) {
    if (ca) return offered(*ca);
    done(
        failed(fmt::format("% Error in receiving Certificate Authority certificate: status = "
                           "FAIL, cert length = 0\n% {}\n",
                           ca.error().detail)));
  });
}

void Exec::enroll(const TrustpointControl& found, const ExecDone& done) const {
  const std::string& name = found.name;
  if (found.hand && found.status().by_hand) {
    found.hand->request_by_hand([done](const Result<x509::Request>& request) {
      if (!request) return done(failed(request.error()));
      done({true, fmt::format("% Start certificate enrollment ..\n\n"
                              "% The subject name in the certificate will include: {}\n"
                              "Certificate Request follows:\n\n{}\n"
                              "---End - This line not part of the certificate request---\n",
                              request->subject().joined(),
                              x509::der_to_pem(request->der(), "CERTIFICATE REQUEST"))});
    });
    return;
  }
  if (const auto sent = found.enroll(); !sent) return done(failed(sent.error()));
  done({true, fmt::format("%\n% Start certificate enrollment .. \n"
                          "% Certificate request sent to Certificate Authority\n"
                          "% The 'show crypto pki certificates {}' command will show the "
                          "fingerprint.\n",
                          name)});
}

void Exec::export_keys(const TrustpointControl& found, const Match& match,
                       const ExecDone& done) const {
  const std::string passphrase = match.text("PASSPHRASE");
  if (match.find("PASSPHRASE") && passphrase.size() < passphrase_min)
    return done(failed("% The passphrase must have 8 characters or more\n"));
  const std::string url = match.text("URL");
  const bool with_key = match.find("PASSPHRASE") != nullptr;
  const bool archive = match.command->key.ends_with("pkcs12");
  const bool old_form = match.has("3des");
  const auto write = environment_->write;
  if (!url.empty() && !write) return done(failed("% Nothing can be written from here\n"));
  found.hand->exported([=](const Result<client::Exported>& got) {
    if (!got) return done(failed(got.error()));
    if (with_key && !got->key) {
      return done(failed(fmt::format("% The key pair named {} is not exportable\n", got->label)));
    }
    if (archive && !got->identity) return done(failed("% There is no certificate to export\n"));
    if (archive) {
      const auto sealed =
          x509::to_pkcs12(*got->key, *got->identity, got->label, passphrase, {{got->ca}});
      if (!sealed) return done(failed(sealed.error()));
      if (url.empty())
        return done({true, "Exported pkcs12 follows:\n" + to_base64(*sealed, pem_columns)});
      return done(answer(write(url, *sealed), "CRYPTO_PKI: Exported PKCS12 file successfully.\n"));
    }
    std::string key;
    if (with_key) {
      const auto made = old_form ? x509::to_traditional_pem(*got->key, passphrase)
                                 : [&]() -> Result<std::string> {
        UMBRA_TRY(const Bytes sealed, got->key->seal(passphrase));
        return x509::der_to_pem(sealed, "ENCRYPTED PRIVATE KEY");
      }();
      if (!made) return done(failed(made.error()));
      key = *made;
    }
    const std::string identity = got->identity ? got->identity->to_pem() : "";
    if (url.empty()) {
      std::string out = "% CA certificate:\n" + got->ca.to_pem();
      if (!key.empty())
        out += fmt::format("\n% Key name: {}\n   Usage: General Purpose Key\n{}", got->label, key);
      if (!identity.empty()) out += "\n% General Purpose Certificate:\n" + identity;
      return done({true, out});
    }
    for (const auto& [ending, text] :
         {std::pair{".ca", got->ca.to_pem()}, {".prv", key}, {".crt", identity}}) {
      if (text.empty()) continue;
      if (const auto written = write(beside(url, ending), as_bytes(text)); !written)
        return done(failed(written.error()));
    }
    done({true, "% Exported\n"});
  });
}

void Exec::import_keys(const TrustpointControl& found, const Match& match,
                       const std::optional<std::string>& input, const ExecDone& done) const {
  const std::string_view key = match.command->key;
  const auto hand = found.hand;
  if (key.ends_with(" certificate")) {
    if (!input) {
      return done({true,
                   "Enter the base 64 encoded certificate.\n"
                   "End with a blank line or the word \"quit\" on a line by itself\n",
                   Ask::text});
    }
    const auto certificate = certificate_in(*input);
    if (!certificate) return done(failed(certificate.error()));
    return hand->import_certificate({*certificate}, [done](const Result<void>& imported) {
      done(answer(imported, "% Router Certificate successfully imported\n"));
    });
  }
  const bool archive = key.ends_with(" pkcs12");
  const std::string url = match.text("URL");
  const bool exportable = match.has("exportable");
  const auto take = [hand, archive, exportable, done,
                     passphrase = match.text("PASSPHRASE")](ByteView content) {
    auto opened = archive ? x509::from_pkcs12(content, passphrase)
                          : x509::from_pem_archive(as_text(content), passphrase);
    if (!opened) return done(failed(opened.error()));
    hand->import_archive(*std::move(opened), exportable, [done](const Result<void>& imported) {
      done(answer(imported, "% Key and certificates successfully imported\n"));
    });
  };
  if (url.empty()) {
    if (input) return take(as_bytes(*input));
    return done({true,
                 archive ? "Enter the base 64 encoded pkcs12.\n"
                           "End with the word \"quit\" on a line by itself\n"
                         : "Enter PEM: the encrypted private key, its certificate, and the CA's.\n"
                           "End with the word \"quit\" on a line by itself\n",
                 Ask::lines});
  }
  const auto fetch = environment_->fetch;
  if (!fetch) return done(failed("% Nothing can be read from here\n"));
  if (archive) {
    return fetch(url, [take, done](const Result<Bytes>& content) {
      if (!content) return done(failed(content.error()));
      take(*content);
    });
  }
  // One file with everything, or IOS's three.
  fetch(url, [url, fetch, take, done](const Result<Bytes>& whole) {
    if (whole) return take(*whole);
    fetch(beside(url, ".prv"), [=](const Result<Bytes>& prv) {
      if (!prv) return done(failed(prv.error()));
      fetch(beside(url, ".crt"), [=](const Result<Bytes>& crt) {
        if (!crt) return done(failed(crt.error()));
        fetch(beside(url, ".ca"), [=](const Result<Bytes>& ca) {
          // The trustpoint may be authenticated already.
          take(as_bytes(std::string(as_text(*prv)) + "\n" + std::string(as_text(*crt)) + "\n" +
                        (ca ? std::string(as_text(*ca)) : std::string())));
        });
      });
    });
  });
}

ExecResult Exec::generate_key(const Match& match, const std::optional<std::string>& input) const {
  if (!environment_->keys) return failed("% Keys cannot be made from here\n");
  client::KeyWish wish;
  wish.label = match.text("LABEL").empty() ? environment_->fqdn : match.text("LABEL");
  wish.ec = match.command->key.ends_with(" ec");
  wish.bits = match.number("BITS").value_or(wish.bits);
  for (const int bits : {256, 384, 521}) {
    if (wish.ec && match.has(std::to_string(bits))) wish.bits = bits;
  }
  wish.exportable = match.has("exportable");
  for (const client::Status& status : trustpoint_statuses()) {
    if (status.key_label != wish.label || !status.keys_generated) continue;
    return failed(
        fmt::format("% Trustpoint {} has a key pair named {}; `crypto key zeroize rsa "
                    "{}` removes it and its certificates, and `auto-enroll regenerate` "
                    "replaces it in time\n",
                    status.name, wish.label, wish.label));
  }
  const auto waiting = environment_->keys->waiting();
  if (!waiting) return failed(waiting.error());
  const bool there = std::any_of(waiting->begin(), waiting->end(),
                                 [&](const auto& one) { return one.label == wish.label; });
  if (there) {
    if (auto question =
            to_ask(input, fmt::format("% You already have a key pair named {}.\n", wish.label),
                   "% Do you really want to replace it?"))
      return *std::move(question);
  }
  if (there && !says_yes(*input)) return {true, "% Nothing is replaced\n"};
  if (const auto made = environment_->keys->generate(wish); !made) return failed(made.error());
  return {true,
          fmt::format("The name for the keys will be: {}\n\n% The key modulus size is {} "
                      "bits\n% Generating {} bit {} keys, keys will be {}exportable...\n[OK]\n",
                      wish.label, wish.bits, wish.bits, wish.ec ? "EC" : "RSA",
                      wish.exportable ? "" : "non-")};
}

void Exec::zeroize(const Match& match, const std::optional<std::string>& input,
                   const ExecDone& done) const {
  const std::string label = match.text("LABEL");
  if (!environment_->keys) return done(failed("% Keys cannot be removed from here\n"));
  const auto waiting = environment_->keys->waiting();
  if (!waiting) return done(failed(waiting.error()));
  const bool waits = std::any_of(waiting->begin(), waiting->end(),
                                 [&](const auto& one) { return one.label == label; });
  std::vector<TrustpointControl> users;
  std::string names;
  for (const TrustpointControl& one : environment_->trustpoints) {
    const client::Status status = one.status();
    if (status.key_label != label || !status.keys_generated || !one.hand) continue;
    users.push_back(one);
    names += " " + one.name;
  }
  if (!waits && users.empty())
    return done(failed(fmt::format("% There is no key pair named {}\n", label)));
  const std::string above =
      fmt::format("% Keys to be removed are named '{}'.\n", label) +
      (users.empty() ? std::string()
                     : "% All certificates issued using these keys will also be removed, of "
                       "trustpoint(s)" +
                           names + "\n");
  if (auto question = to_ask(input, above, "% Do you really want to remove these keys?"))
    return done(*std::move(question));
  if (!says_yes(*input)) return done({true, "% Nothing is removed\n"});
  const auto so_far = std::make_shared<Zeroized>();
  if (waits) so_far->add("the key pair that no trustpoint has", environment_->keys->remove(label));
  // One after another. What fails keeps nobody else's keys.
  const auto next = std::make_shared<std::function<void(std::size_t)>>();
  *next = [users, done, so_far, weak = std::weak_ptr(next)](std::size_t at) {
    if (at == users.size()) return done(so_far->answer(users.empty()));
    const auto self = weak.lock();
    users[at].hand->zeroize([users, so_far, self, at](Result<std::vector<std::string>> gone) {
      if (gone) so_far->remarks.insert(so_far->remarks.end(), gone->begin(), gone->end());
      so_far->add("keys and certificates of trustpoint " + users[at].name,
                  gone.map([](const auto&) {}));
      (*self)(at + 1);
    });
  };
  (*next)(0);
}

}  // namespace umbra::console

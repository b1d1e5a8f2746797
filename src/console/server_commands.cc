#include <algorithm>

#include "console/exec_result.h"
#include "x509/pem.h"

/// What is done to a certificate server by hand: `crypto pki server NAME ...`.
namespace umbra::console {
namespace {

using config::Match;

constexpr std::size_t names_shown = 20;
constexpr std::size_t base64_columns = 64;  // as IOS shows what it issued

std::optional<std::uint64_t> request_id(const Match& match) {
  const auto number = match.number("ID");
  return number ? std::optional<std::uint64_t>(static_cast<std::uint64_t>(*number)) : std::nullopt;
}

/// As IOS takes it: decimal, or 0x and hexadecimal digits.
Result<x509::Serial> serial_number(const std::string& text) {
  const auto wrong = [&] {
    return fail(Errc::malformed,
                "\"" + text +
                    "\" is no serial number: expected decimal digits, or 0x and "
                    "hexadecimal ones, as `show crypto pki certificates` has them");
  };
  auto serial = text.starts_with("0x") || text.starts_with("0X") ? x509::Serial::from_hex(text)
                                                                 : x509::Serial::from_decimal(text);
  return serial ? std::move(serial) : wrong();
}

x509::RevocationReason reason(const Match& match) {
  using enum x509::RevocationReason;
  constexpr std::pair<const char*, x509::RevocationReason> words[] = {
      {"unspecified", unspecified},
      {"key-compromise", key_compromise},
      {"affiliation-changed", affiliation_changed},
      {"superseded", superseded},
      {"cessation-of-operation", cessation_of_operation},
      {"certificate-hold", certificate_hold},
      {"privilege-withdrawn", privilege_withdrawn}};
  for (const auto& [word, meaning] : words) {
    if (match.has(word)) return meaning;
  }
  return none;
}

std::string_view seen_on(server::OnCrl crl) {
  switch (crl) {
    case server::OnCrl::now:
      return "a new CRL has been made";
    case server::OnCrl::at_switch_over:
      return "the rollover CA issued it, whose first CRL lists it, made when that CA becomes "
             "active";
    case server::OnCrl::never:
      return "the CA that issued it has ended and signs no more CRLs; it renews nothing here";
  }
  return "";
}

std::string granted_certificate(const x509::Certificate& certificate, bool pem) {
  return "% Granted certificate:\n" +
         (pem ? certificate.to_pem() : to_base64(certificate.der(), base64_columns));
}

/// DER, PEM or bare base64, whichever it is.
Result<Bytes> pkcs10_of(ByteView content) {
  constexpr std::uint8_t sequence = 0x30;
  if (!content.empty() && content.front() == sequence) return to_bytes(content);
  const std::string_view text = as_text(content);
  for (const char* label : {"CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"}) {
    if (auto der = x509::pem_to_der(text, label)) return der;
  }
  if (auto der = from_base64(text); der && !der->empty() && der->front() == sequence) return der;
  return fail(Errc::malformed,
              "this is no PKCS #10 request: expected PEM (-----BEGIN CERTIFICATE REQUEST-----) or "
              "base64");
}

ExecResult shown(const Result<server::HandRequest>& made, bool pem) {
  if (!made) return failed(made.error());
  if (made->certificate) return {true, granted_certificate(*made->certificate, pem)};
  return {true, fmt::format("% Enrollment request pending, reqId={}\n", made->id)};
}

}  // namespace

void Exec::server_command(const Match& match, const std::optional<std::string>& input,
                          const ExecDone& done) const {
  const std::string name = match.text("NAME");
  const ServerControl* const found = server(name);
  if (!found) {
    done(unknown_server(name));
    return;
  }
  const std::string_view key = match.command->key;
  const auto answer = [&](const Result<void>& result, std::string text = {}) {
    done(result ? ExecResult{true, std::move(text)} : failed(result.error()));
  };
  if (key.ends_with("revoke")) {
    done(revocation(*found, match));
  } else if (key.ends_with(" grant")) {
    done(grant(*found, match));
  } else if (key.ends_with(" reject")) {
    answer(found->reject(request_id(match)));
  } else if (key.ends_with(" remove")) {
    answer(found->remove(request_id(match)));
  } else if (key.ends_with(" request pkcs10")) {
    request_pkcs10(*found, match, input, done);
  } else if (key.ends_with(" password generate")) {
    const int minutes = match.number("MINUTES").value_or(60);
    const auto password = found->generate_password(std::chrono::minutes{minutes});
    done(password ? ExecResult{true, fmt::format("% New password is {}, valid for {} minutes\n",
                                                 *password, minutes)}
                  : failed(password.error()));
  } else if (key.ends_with(" start")) {
    const auto started = found->start();
    const std::string status = found->status().status;
    // Started is not serving yet: the clock may be missing, or the CA's time be over.
    answer(started, status == "enabled"
                        ? fmt::format("% Certificate server {} is started\n", name)
                        : fmt::format("% Certificate server {} is started; its status is: {}\n",
                                      name, status));
  } else if (key.ends_with(" stop")) {
    answer(found->stop(),
           fmt::format("% Certificate server {} is stopped until `crypto pki server {} start` or a "
                       "restart of umbrad; `shutdown` in the configuration keeps it so\n",
                       name, name));
  } else if (match.has("cancel")) {
    done(cancel_rollover(*found, match));
  } else {
    answer(found->rollover());
  }
}

ExecResult Exec::grant(const ServerControl& server, const Match& match) const {
  const auto report = server.grant(request_id(match));
  if (!report) return failed(report.error());
  std::string out;
  for (const auto& certificate : report->by_hand) out += granted_certificate(certificate, false);
  for (const auto& failure : report->failed) out += fmt::format("% {}\n", failure);
  if (report->left_pending.empty()) return {report->failed.empty(), out};
  return failed(out +
                fmt::format("% For a CA or RA certificate, and still pending: {}; `grant all` "
                            "makes nobody a CA or an RA, grant each by its number\n",
                            fmt::join(report->left_pending, ", ")));
}

ExecResult Exec::cancel_rollover(const ServerControl& server, const Match& match) const {
  const auto names = [](const server::OverlapReport& report) {
    std::string out;
    std::size_t listed = 0;
    for (const auto& holder : report.holders) {
      if (!holder.shadow) continue;
      if (++listed <= names_shown)
        out += fmt::format("  {} (0x{})\n", printable(holder.subject), holder.shadow->to_hex());
    }
    if (listed > names_shown) out += fmt::format("  and {} more\n", listed - names_shown);
    return out;
  };
  const bool force = match.has("force");
  if (!force) {
    const auto before = server.overlap();
    const auto cancelled = server.rollover_cancel(false);
    if (cancelled) return {};
    std::string out = fmt::format("% {}\n", cancelled.error().detail);
    if (cancelled.error().code == Errc::conflict && before && before->rollover) {
      out += names(*before);
      out += fmt::format(
          "% `show crypto pki server {} rollover` shows all of them; to cancel all "
          "the same:\n  crypto pki server {} rollover cancel force\n",
          server.name, server.name);
    }
    return failed(out);
  }
  const auto cancelled = server.rollover_cancel(true);
  if (!cancelled) return failed(cancelled.error());
  std::string out = "% The rollover CA certificate is cancelled\n";
  if (!cancelled->holders.empty()) {
    out += "% To be enrolled anew by hand (their shadow certificates are revoked):\n";
    out += names(*cancelled);
  }
  if (!cancelled->fetches.empty()) {
    out += "% Had fetched it (GetNextCACert tells no names), and must forget it:\n";
    std::size_t listed = 0;
    for (const auto& fetch : cancelled->fetches) {
      if (++listed <= names_shown) out += fmt::format("  {}\n", fetch.address);
    }
    if (listed > names_shown) out += fmt::format("  and {} more\n", listed - names_shown);
  }
  return {true, out};
}

void Exec::request_pkcs10(const ServerControl& server, const Match& match,
                          const std::optional<std::string>& input, const ExecDone& done) const {
  const bool pem = match.has("pem");
  if (match.has("terminal")) {
    if (!input) {
      done({true,
            "PKCS10 request in base64 or pem\n\n"
            "% Enter Base64 encoded or PEM formatted PKCS10 enrollment request.\n"
            "% End with a blank line or \"quit\" on a line by itself.\n",
            Ask::text});
      return;
    }
    const auto der = pkcs10_of(as_bytes(*input));
    done(der ? shown(server.request_pkcs10(*der), pem) : failed(der.error()));
    return;
  }
  if (!environment_->fetch) {
    done(failed("% Nothing can be fetched from here\n"));
    return;
  }
  environment_->fetch(match.text("URL"),
                      [done, pem, request = server.request_pkcs10](const Result<Bytes>& content) {
                        if (!content) {
                          done(failed(content.error()));
                          return;
                        }
                        const auto der = pkcs10_of(*content);
                        done(der ? shown(request(*der), pem) : failed(der.error()));
                      });
}

ExecResult Exec::destroy_server(const std::string& name,
                                const std::optional<std::string>& input) const {
  if (server(name)) {
    return failed(fmt::format(
        "% {} is configured: take `crypto pki server {}` out of the configuration first. Its keys, "
        "certificates and CRLs are kept until this command is said again\n",
        name, name));
  }
  if (!environment_->destroy_server) return unknown_server(name);
  if (auto question = to_ask(input, "",
                             "% CA certificate, Keypair, CRL and database files will be deleted. "
                             "Do you wish to continue?"))
    return *std::move(question);
  if (!says_yes(*input)) return {true, "% Nothing was deleted\n"};
  if (const auto gone = environment_->destroy_server(name); !gone) return failed(gone.error());
  return {true, fmt::format("% What was kept of certificate server {} is deleted; its archives and "
                            "published files are where they were\n",
                            name)};
}

ExecResult Exec::revocation(const ServerControl& server, const Match& match) const {
  const auto serial = serial_number(match.text("SERIAL"));
  if (!serial) return failed(serial.error());
  const bool back = match.command->key.ends_with(" unrevoke");
  if (back) {
    if (const auto result = server.unrevoke(*serial); !result) return failed(result.error());
    return {true, fmt::format("% Certificate 0x{} is no longer revoked\n", serial->to_hex())};
  }
  const auto result = server.revoke(*serial, reason(match));
  if (!result) return failed(result.error());
  return {true,
          fmt::format("% Certificate 0x{} is revoked; {}\n", serial->to_hex(), seen_on(*result))};
}

}  // namespace umbra::console

#include <fmt/format.h>

#include "console/screens.h"

namespace umbra::console {
namespace {

/// `label`: of the key of a self-signed certificate.
void add_summary(std::string& out, const std::string& name,
                 const std::optional<x509::Certificate>& ca, const std::string& url,
                 const std::string& label = "") {
  if (!out.empty()) out += "\n\n";
  out += fmt::format("Trustpoint {}:\n", name);
  if (ca) {
    out += "    Subject Name:\n";
    for (const std::string& line : ca->subject().screen_lines()) {
      out += fmt::format("    {}\n", line);
    }
    out += fmt::format("          Serial Number (hex): {}\n", ca->serial().to_hex_octets());
    if (label.empty()) {
      out += "    Certificate configured.\n";
    } else {
      out += fmt::format(
          "    Persistent self-signed certificate trust point\n    Using key label {}\n", label);
    }
  }
  if (!url.empty()) out += fmt::format("    SCEP URL: {}\n", url);
}

void add_certificate(std::string& out, std::string_view what,
                     const std::optional<x509::Certificate>& certificate) {
  if (!certificate) return;
  out += fmt::format("  {} certificate configured:\n    Subject Name:\n", what);
  out += fmt::format("     {}\n", certificate->subject().joined());
  out += fmt::format("    Fingerprint MD5: {}\n", fingerprint(*certificate, x509::Digest::md5));
  out += fmt::format("    Fingerprint SHA1: {}\n", fingerprint(*certificate, x509::Digest::sha1));
}

struct State {
  bool keys = false;
  bool exportable = false;
  bool authenticated = false;
  std::string_view requests;
  bool contradicts_pin = false;
};

void add_state(std::string& out, const State& state) {
  out += "  State:\n";
  out += fmt::format("    Keys generated ............. {}\n",
                     !state.keys        ? "No"
                     : state.exportable ? "Yes (General Purpose, exportable)"
                                        : "Yes (General Purpose, non-exportable)");
  out += fmt::format("    Issuing CA authenticated ....... {}\n",
                     state.contradicts_pin ? "No (another CA's fingerprint is configured)"
                     : state.authenticated ? "Yes"
                                           : "No");
  out += fmt::format("    Certificate request(s) ..... {}\n", state.requests);
}

}  // namespace

bool is_self_signed(const client::Status& trustpoint) {
  return trustpoint.ca && trustpoint.identity && *trustpoint.ca == *trustpoint.identity;
}

ByTrustpoint by_trustpoint(std::vector<server::Status> servers,
                           std::vector<client::Status> trustpoints) {
  for (const server::Status& s : servers) {
    if (s.mode != config::ServerMode::subordinate) continue;
    for (client::Status& t : trustpoints) {
      if (t.name != s.name) continue;
      // The trustpoint may hold the next certificate already, while the server uses this one.
      t.identity = s.ca;
      t.rollover_identity = s.rollover;
    }
  }
  std::erase_if(servers, [](const auto& s) { return s.mode != config::ServerMode::root; });
  return {std::move(servers), std::move(trustpoints)};
}

std::string trustpoints_screen(const std::vector<server::Status>& all_servers,
                               const std::vector<client::Status>& all_trustpoints) {
  const auto [servers, trustpoints] = by_trustpoint(all_servers, all_trustpoints);
  std::string out;
  for (const server::Status& s : servers) add_summary(out, s.name, s.ca, "");
  for (const client::Status& t : trustpoints) {
    add_summary(out, t.name, t.ca, t.enrollment_url, is_self_signed(t) ? t.key_label : "");
  }
  return out;
}

std::string trustpoints_status_screen(const std::vector<server::Status>& all_servers,
                                      const std::vector<client::Status>& all_trustpoints) {
  const auto [servers, trustpoints] = by_trustpoint(all_servers, all_trustpoints);
  std::string out;
  for (const server::Status& s : servers) {
    if (!out.empty()) out += "\n\n";
    out += fmt::format("Trustpoint {}:\n", s.name);
    add_certificate(out, "Issuing CA", s.ca);
    add_certificate(out, "Rollover Issuing CA", s.rollover);
    add_state(out, {s.ca.has_value(), false, s.ca.has_value(), "None"});
  }
  for (const client::Status& t : trustpoints) {
    if (!out.empty()) out += "\n\n";
    out += fmt::format("Trustpoint {}:\n", t.name);
    add_certificate(out, "Issuing CA", t.ca);
    add_certificate(out, "Router General Purpose", t.identity);
    add_certificate(out, "Rollover Issuing CA", t.rollover_ca);
    add_certificate(out, "Rollover Router General Purpose", t.rollover_identity);
    if (!t.last_enrollment_status.empty()) {
      out += fmt::format("  Last enrollment status: {}\n", t.last_enrollment_status);
    }
    add_state(out, {t.keys_generated, t.exportable, t.ca.has_value(),
                    t.pending    ? "Pending"
                    : t.identity ? "Yes"
                                 : "None",
                    t.contradicts_pin});
  }
  return out;
}

namespace {

void add(config::Chain& chain, config::ChainKind kind,
         const std::optional<x509::Certificate>& certificate) {
  if (!certificate) return;
  chain.certificates.push_back(
      {kind, certificate->serial().to_hex_octets(), to_bytes(certificate->der()), ""});
}

}  // namespace

config::Chain chain_of(const server::Status& server) {
  config::Chain chain{server.name, {}};
  add(chain, config::ChainKind::ca_rollover, server.rollover);
  add(chain, config::ChainKind::ca, server.ca);
  return chain;
}

config::Chain chain_of(const client::Status& trustpoint) {
  config::Chain chain{trustpoint.name, {}};
  add(chain, config::ChainKind::rollover, trustpoint.rollover_identity);
  add(chain, config::ChainKind::ca_rollover, trustpoint.rollover_ca);
  add(chain, config::ChainKind::identity, trustpoint.identity);
  add(chain, config::ChainKind::ca, trustpoint.ca);
  return chain;
}

std::string running_config_screen(std::string_view running_config,
                                  const std::vector<server::Status>& all_servers,
                                  const std::vector<client::Status>& all_trustpoints) {
  const auto [servers, trustpoints] = by_trustpoint(all_servers, all_trustpoints);
  // The sections of what is held take the place of those the file brought along, below the last
  // block of certificates.
  std::string above;
  std::string below;
  std::string held;
  std::vector<std::string> names;
  const auto hold = [&](const config::Chain& chain) {
    if (chain.certificates.empty()) return;
    names.push_back(fmt::format("crypto pki certificate chain {}", chain.name));
    held += "!\n" + config::to_string(chain);
  };
  for (const server::Status& s : servers) hold(chain_of(s));
  for (const client::Status& t : trustpoints) hold(chain_of(t));

  std::vector<std::string> blocks;  // each begins with the `!` above it
  while (!running_config.empty()) {
    const std::size_t end = running_config.find("\n!\n");
    const std::size_t length = end == std::string_view::npos ? running_config.size() : end + 1;
    blocks.emplace_back(running_config.substr(0, length));
    running_config.remove_prefix(length);
  }
  std::size_t last = 0;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    if (blocks[i].starts_with("!\ncrypto pki ")) last = i + 1;
  }
  if (last == 0) {
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      const bool low = blocks[i].starts_with("!\nip http ") || blocks[i].starts_with("!\nntp ") ||
                       blocks[i] == "!\n";
      if (!low) last = i + 1;
    }
  }
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    bool replaced = false;
    for (const std::string& name : names) {
      replaced = replaced || blocks[i].starts_with("!\n" + name + "\n");
    }
    if (replaced) continue;
    (i < last ? above : below) += blocks[i];
  }
  const std::string text = above + held + below + "end\n";
  return fmt::format("Building configuration...\n\nCurrent configuration : {} bytes\n{}",
                     text.size(), text);
}

}  // namespace umbra::console

#include <fmt/format.h>

#include "console/exec_result.h"

/// The configuration in force and its file: shown, compared, saved and read again.
namespace umbra::console {
namespace {

ExecResult no_file() { return failed("% There is no configuration file here\n"); }

}  // namespace

ExecResult Exec::show_configuration(std::string_view key) const {
  if (key == "show running-config") {
    return {true, running_config_screen(environment_->running_config, server_statuses(),
                                        trustpoint_statuses())};
  }
  if (!environment_->configurator) return no_file();
  if (key == "show startup-config") {
    const auto file = environment_->configurator->startup();
    if (!file) return failed(file.error());
    // As it stands, but for passwords in the clear; whoever may read those reads the file.
    std::string out;
    for (std::string_view rest = *file; !rest.empty();) {
      const std::size_t end = std::min(rest.find('\n'), rest.size());
      out += printable(config::hide_secrets(rest.substr(0, end))) + "\n";
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return {true, out};
  }
  const auto differences = environment_->configurator->differences();
  if (!differences) return failed(differences.error());
  return {true,
          "!Contextual Config Diffs:\n" +
              (differences->empty() ? std::string("!No changes were found\n") : *differences)};
}

std::set<Bytes> Exec::held() const {
  std::set<Bytes> all;
  const auto keep = [&](const std::optional<x509::Certificate>& c) {
    if (!c) return;
    all.insert(c->fingerprint(x509::Digest::sha256));
    all.insert(x509::hash(x509::Digest::sha256, c->public_key().spki()));
  };
  for (const server::Status& s : server_statuses()) {
    keep(s.ca);
    keep(s.rollover);
  }
  for (const client::Status& t : trustpoint_statuses()) {
    keep(t.ca);
    keep(t.identity);
    keep(t.rollover_ca);
    keep(t.rollover_identity);
  }
  return all;
}

void Exec::save(const ExecDone& done) const {
  const auto written = [done, marks = environment_->saved, held = held()](std::string remarks) {
    marks->replace(held);
    done({true, "Building configuration...\n" + remarks + "[OK]\n"});
  };
  if (!environment_->configurator) return written("");
  environment_->configurator->save(by_, [done, written](const Result<std::string>& saved) {
    if (!saved) return done(failed(saved.error()));
    written(*saved);
  });
}

void Exec::replace_configuration(const ExecDone& done) const {
  if (!environment_->configurator) return done(no_file());
  environment_->configurator->reload(by_, [done](const Result<std::string>& changed) {
    done(changed ? ExecResult{true, *changed} : failed(changed.error()));
  });
}

}  // namespace umbra::console

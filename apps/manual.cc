#include "manual.h"

#include <fmt/format.h>

namespace {

void add_options(std::string& out, const CLI::App& app) {
  for (const CLI::Option* const option : app.get_options()) {
    if (option->get_group().empty()) continue;  // hidden
    const std::string name =
        option->get_positional() ? option->get_name(true, false) : option->get_name(false, true);
    const std::string value = option->get_positional() || option->get_expected_max() == 0
                                  ? ""
                                  : " " + option->get_type_name();
    out += fmt::format(".TP\n.B {}\n{}.\n", roff(name + value), roff(option->get_description()));
    if (!option->get_default_str().empty())
      out += fmt::format("Default: {}.\n", roff(option->get_default_str()));
    if (!option->get_envname().empty())
      out += fmt::format("Environment: {}.\n", roff(option->get_envname()));
  }
}

void add_commands(std::string& out, const CLI::App& app, const std::string& name) {
  for (const CLI::App* const one : app.get_subcommands({})) {
    const std::string full = name + " " + one->get_name();
    out += fmt::format(".SS {}\n{}.\n", roff(full), roff(one->get_description()));
    add_options(out, *one);
    add_commands(out, *one, full);
  }
}

}  // namespace

std::string roff(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else if (c == '\'') {
      out += "\\(aq";
    } else if (c == '.' && (out.empty() || out.back() == '\n')) {
      out += "\\&.";
    } else {
      out += c;
    }
  }
  return out;
}

std::string program_manual(const CLI::App& app, std::string_view name, std::string_view section,
                           std::string_view version) {
  std::string out = fmt::format(".TH {} {} \"\" \"Umbra {}\" \"Umbra\"\n.ad l\n", roff(name),
                                section, roff(version));
  const std::string what = app.get_description();
  const bool commands = !app.get_subcommands({}).empty();
  out += fmt::format(".SH NAME\n{} \\- {}\n.SH SYNOPSIS\n.B {}\n[options]{}\n", roff(name),
                     roff(what), roff(name), commands ? " [command]" : "");
  out += ".SH OPTIONS\n";
  add_options(out, app);
  if (commands) out += ".SH COMMANDS\n";
  add_commands(out, app, std::string(name));
  return out;
}

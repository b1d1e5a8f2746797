#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>

/// Manual pages (man(7)) and bash's completion, made from the tables and from the command line's
/// own description, so that nothing can be missing in them.

/// The text as it is, whatever roff makes of its characters.
[[nodiscard]] std::string roff(std::string_view text);
/// `.TH` up to the end of the options: what a program and its subcommands take.
[[nodiscard]] std::string program_manual(const CLI::App& app, std::string_view name,
                                         std::string_view section, std::string_view version);

/// umbra(1), umbra.conf(5), and completion for umbra and umbrad's options.
[[nodiscard]] std::string umbra_manual(const CLI::App& app, std::string_view version);
[[nodiscard]] std::string configuration_manual(std::string_view version);
[[nodiscard]] std::string bash_completion(const CLI::App& app);

#pragma once

#include <string>

#include "simulation/disk.h"

namespace umbra::simulation {

/// SQLite's files are on simulated disks from now on, in all of this process.
void install_vfs();
/// What lies in this directory is on this disk. Null: no longer.
void mount(const std::string& directory, Disk* disk);
/// After how many pages of its log a database is tidied up; SQLite's own habit is 1000.
void set_checkpoint_pages(int pages);
/// SQLite's own chance begins anew, with what `octets` says.
void seed_sqlite(std::uint64_t seed);

}  // namespace umbra::simulation

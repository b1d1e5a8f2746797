#pragma once

#include <string>

#include "base/result.h"

namespace soci {
class session;
}

namespace umbra::store {

/// Opens a session with the settings that durability rests on: WAL, synchronous=FULL (a commit is
/// on the disk when it is reported), foreign keys, a patient lock.
void open_session(soci::session& sql, const std::string& path);

/// Of a database that is up to date.
[[nodiscard]] int schema_version();

/// Makes the tables of an empty database, or checks that they are of a version this program knows.
/// Errors: storage if the database was written by a newer version.
[[nodiscard]] Result<void> prepare_schema(soci::session& sql, const std::string& path);

}  // namespace umbra::store

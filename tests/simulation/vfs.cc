#include "simulation/vfs.h"

#include <sqlite3.h>

#include <cstring>
#include <new>
#include <utility>

#include "base/assert.h"

/// SQLite's door to the disks: what its own file layer for Unix does, above files in memory.
namespace umbra::simulation {
namespace {

constexpr int name_max = 512;
constexpr int sector_size = 4096;  // what SQLite's own layer says of every disk
constexpr std::int64_t julian_2030 = 212'776'200'000'000;

std::map<std::string, Disk*> mounted;
Disk temporary{Chance(0, 0)};
std::uint64_t temporaries = 0;
int checkpoint_pages = 1000;
Chance sqlite_chance(0, 0);

struct Place {
  Disk* disk;
  std::string name;
};
Place place_of(const char* path) {
  if (path == nullptr) return {&temporary, std::to_string(++temporaries)};
  const std::string whole = path;
  const auto slash = whole.rfind('/');
  const auto found = mounted.find(whole.substr(0, slash));
  UMBRA_ENSURE(found != mounted.end(), path);
  return {found->second, whole.substr(slash + 1)};
}

/// One open file. `lock` is SQLite's level.
struct Open {
  Disk* disk;
  std::string name;
  std::uint64_t epoch;
  bool syncs_directory;
  bool gone_when_closed;
  int lock = SQLITE_LOCK_NONE;
  std::shared_ptr<Shared> shared;
  std::uint32_t shm_shared = 0;  ///< bits of the slots
  std::uint32_t shm_exclusive = 0;
};
struct Handle {
  sqlite3_file base;
  Open* open;
};
Open& of(sqlite3_file* file) { return *reinterpret_cast<Handle*>(file)->open; }
bool stale(const Open& open) { return !open.disk->on() || open.epoch != open.disk->epoch(); }

int code(Disk::Outcome outcome, int error) {
  switch (outcome) {
    case Disk::Outcome::done:
      return SQLITE_OK;
    case Disk::Outcome::full:
      return SQLITE_FULL;
    case Disk::Outcome::error:
      return error;
  }
  return error;
}

void release(Open& open) {
  Shared& shared = *open.shared;
  if (open.lock >= SQLITE_LOCK_SHARED) --shared.readers;
  for (const void** holder : {&shared.reserved, &shared.pending, &shared.exclusive}) {
    if (*holder == &open) *holder = nullptr;
  }
  open.lock = SQLITE_LOCK_NONE;
}

int shm_unmap(sqlite3_file* file, int) {
  Open& open = of(file);
  for (int slot = 0; slot < SQLITE_SHM_NLOCK; ++slot) {
    const std::uint32_t bit = 1U << slot;
    if ((open.shm_shared & bit) != 0) --open.shared->shm_readers[slot];
    if ((open.shm_exclusive & bit) != 0) open.shared->shm_writer[slot] = nullptr;
  }
  open.shm_shared = open.shm_exclusive = 0;
  return SQLITE_OK;
}

int close(sqlite3_file* file) {
  Open* const open = &of(file);
  shm_unmap(file, 0);
  release(*open);
  if (open->gone_when_closed) static_cast<void>(open->disk->remove(open->name, false));
  delete open;
  return SQLITE_OK;
}

int read(sqlite3_file* file, void* into, int amount, sqlite3_int64 offset) {
  Open& open = of(file);
  if (stale(open)) return SQLITE_IOERR_READ;
  const auto size = static_cast<std::size_t>(amount);
  std::size_t got = 0;
  const auto outcome = open.disk->read(open.name, static_cast<std::uint64_t>(offset),
                                       {static_cast<std::uint8_t*>(into), size}, got);
  if (outcome != Disk::Outcome::done) return SQLITE_IOERR_READ;
  return got == size ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

int write(sqlite3_file* file, const void* from, int amount, sqlite3_int64 offset) {
  Open& open = of(file);
  if (stale(open)) return SQLITE_IOERR_WRITE;
  return code(
      open.disk->write(open.name, static_cast<std::uint64_t>(offset),
                       {static_cast<const std::uint8_t*>(from), static_cast<std::size_t>(amount)}),
      SQLITE_IOERR_WRITE);
}

int truncate(sqlite3_file* file, sqlite3_int64 size) {
  Open& open = of(file);
  if (stale(open)) return SQLITE_IOERR_TRUNCATE;
  return code(open.disk->truncate(open.name, static_cast<std::uint64_t>(size)),
              SQLITE_IOERR_TRUNCATE);
}

int sync(sqlite3_file* file, int) {
  Open& open = of(file);
  if (stale(open)) return SQLITE_IOERR_FSYNC;
  const auto outcome = open.disk->sync(open.name, open.syncs_directory);
  if (outcome == Disk::Outcome::done) open.syncs_directory = false;
  return code(outcome, SQLITE_IOERR_FSYNC);
}

int file_size(sqlite3_file* file, sqlite3_int64* size) {
  Open& open = of(file);
  if (stale(open)) return SQLITE_IOERR_FSTAT;
  *size = static_cast<sqlite3_int64>(open.disk->size(open.name));
  return SQLITE_OK;
}

int lock(sqlite3_file* file, int level) {
  Open& open = of(file);
  if (stale(open)) return SQLITE_IOERR_LOCK;
  Shared& shared = *open.shared;
  if (open.lock >= level) return SQLITE_OK;
  const auto another = [&open](const void* holder) { return holder != nullptr && holder != &open; };
  if (another(shared.exclusive)) return SQLITE_BUSY;
  if (level == SQLITE_LOCK_SHARED) {
    if (another(shared.pending)) return SQLITE_BUSY;
    ++shared.readers;
  } else if (level == SQLITE_LOCK_RESERVED) {
    if (another(shared.reserved)) return SQLITE_BUSY;
    shared.reserved = &open;
  } else {
    if (another(shared.reserved) || another(shared.pending)) return SQLITE_BUSY;
    shared.pending = &open;
    if (shared.readers > 1) {
      open.lock = SQLITE_LOCK_PENDING;
      return SQLITE_BUSY;
    }
    shared.exclusive = &open;
  }
  open.lock = level;
  return SQLITE_OK;
}

int unlock(sqlite3_file* file, int level) {
  Open& open = of(file);
  if (open.lock <= level) return SQLITE_OK;
  release(open);
  if (level == SQLITE_LOCK_SHARED) {
    ++open.shared->readers;
    open.lock = SQLITE_LOCK_SHARED;
  }
  return SQLITE_OK;
}

int check_reserved(sqlite3_file* file, int* out) {
  *out = of(file).shared->reserved != nullptr;
  return SQLITE_OK;
}

int file_control(sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; }
int sector(sqlite3_file*) { return sector_size; }
int characteristics(sqlite3_file*) { return SQLITE_IOCAP_POWERSAFE_OVERWRITE; }

int shm_map(sqlite3_file* file, int page, int size, int extend, void volatile** out) {
  Open& open = of(file);
  *out = nullptr;
  if (stale(open)) return SQLITE_IOERR_SHMMAP;
  auto& regions = open.shared->regions;
  const auto wanted = static_cast<std::size_t>(page);
  if (wanted >= regions.size() && extend == 0) return SQLITE_OK;
  while (regions.size() <= wanted)
    regions.push_back(std::make_unique<std::uint8_t[]>(static_cast<std::size_t>(size)));
  *out = regions[wanted].get();
  return SQLITE_OK;
}

int shm_lock(sqlite3_file* file, int first, int count, int flags) {
  Open& open = of(file);
  if (stale(open)) return SQLITE_IOERR_SHMLOCK;
  Shared& shared = *open.shared;
  const bool exclusive = (flags & SQLITE_SHM_EXCLUSIVE) != 0;
  for (int slot = first; (flags & SQLITE_SHM_LOCK) != 0 && slot < first + count; ++slot) {
    const std::uint32_t bit = 1U << slot;
    const void* const writer = shared.shm_writer[slot];
    if (writer != nullptr && writer != &open) return SQLITE_BUSY;
    const int others = shared.shm_readers[slot] - ((open.shm_shared & bit) != 0 ? 1 : 0);
    if (exclusive && others > 0) return SQLITE_BUSY;
  }
  for (int slot = first; slot < first + count; ++slot) {
    const std::uint32_t bit = 1U << slot;
    if ((flags & SQLITE_SHM_LOCK) != 0) {
      if (exclusive) {
        shared.shm_writer[slot] = &open;
        open.shm_exclusive |= bit;
      } else if ((open.shm_shared & bit) == 0) {
        ++shared.shm_readers[slot];
        open.shm_shared |= bit;
      }
    } else if (exclusive) {
      if ((open.shm_exclusive & bit) != 0) shared.shm_writer[slot] = nullptr;
      open.shm_exclusive &= ~bit;
    } else if ((open.shm_shared & bit) != 0) {
      --shared.shm_readers[slot];
      open.shm_shared &= ~bit;
    }
  }
  return SQLITE_OK;
}

void shm_barrier(sqlite3_file*) {}

constexpr sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = close,
    .xRead = read,
    .xWrite = write,
    .xTruncate = truncate,
    .xSync = sync,
    .xFileSize = file_size,
    .xLock = lock,
    .xUnlock = unlock,
    .xCheckReservedLock = check_reserved,
    .xFileControl = file_control,
    .xSectorSize = sector,
    .xDeviceCharacteristics = characteristics,
    .xShmMap = shm_map,
    .xShmLock = shm_lock,
    .xShmBarrier = shm_barrier,
    .xShmUnmap = shm_unmap,
    .xFetch = nullptr,
    .xUnfetch = nullptr,
};

int open(sqlite3_vfs*, sqlite3_filename path, sqlite3_file* file, int flags, int* out_flags) {
  file->pMethods = nullptr;
  const Place place = place_of(path);
  const auto outcome = place.disk->open(place.name, (flags & SQLITE_OPEN_CREATE) != 0);
  if (outcome != Disk::Outcome::done) return SQLITE_CANTOPEN;
  const bool log = (flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL)) != 0;
  reinterpret_cast<Handle*>(file)->open =
      new Open{.disk = place.disk,
               .name = place.name,
               .epoch = place.disk->epoch(),
               .syncs_directory = log && (flags & SQLITE_OPEN_CREATE) != 0,
               .gone_when_closed = (flags & SQLITE_OPEN_DELETEONCLOSE) != 0,
               .shared = place.disk->shared(place.name)};
  file->pMethods = &methods;
  if (out_flags != nullptr) *out_flags = flags;
  return SQLITE_OK;
}

int remove(sqlite3_vfs*, const char* path, int directory) {
  const Place place = place_of(path);
  if (place.disk->on() && !place.disk->exists(place.name)) return SQLITE_IOERR_DELETE_NOENT;
  return code(place.disk->remove(place.name, directory != 0), SQLITE_IOERR_DELETE);
}

int access(sqlite3_vfs*, const char* path, int, int* out) {
  const Place place = place_of(path);
  *out = place.disk->exists(place.name) ? 1 : 0;
  return SQLITE_OK;
}

int full_path(sqlite3_vfs*, const char* path, int size, char* out) {
  if (std::strlen(path) >= static_cast<std::size_t>(size)) return SQLITE_CANTOPEN;
  std::strcpy(out, path);
  return SQLITE_OK;
}

int randomness(sqlite3_vfs*, int size, char* out) {
  sqlite_chance.fill({reinterpret_cast<std::uint8_t*>(out), static_cast<std::size_t>(size)});
  return size;
}
int sleep(sqlite3_vfs*, int microseconds) { return microseconds; }
int current_time(sqlite3_vfs*, sqlite3_int64* out) {
  *out = julian_2030;
  return SQLITE_OK;
}
int last_error(sqlite3_vfs*, int, char*) { return 0; }

int prepare_connection(sqlite3* database, char**, const sqlite3_api_routines*) {
  return sqlite3_wal_autocheckpoint(database, checkpoint_pages);
}

}  // namespace

void install_vfs() {
  static sqlite3_vfs vfs = {};
  vfs.iVersion = 2;
  vfs.szOsFile = sizeof(Handle);
  vfs.mxPathname = name_max;
  vfs.zName = "umbra-simulation";
  vfs.xOpen = open;
  vfs.xDelete = remove;
  vfs.xAccess = access;
  vfs.xFullPathname = full_path;
  vfs.xRandomness = randomness;
  vfs.xSleep = sleep;
  vfs.xCurrentTimeInt64 = current_time;
  vfs.xGetLastError = last_error;
  UMBRA_ENSURE(sqlite3_vfs_register(&vfs, 1) == SQLITE_OK, "SQLite takes the layer");
  sqlite3_auto_extension(reinterpret_cast<void (*)()>(prepare_connection));
}

void mount(const std::string& directory, Disk* disk) {
  if (disk == nullptr) {
    mounted.erase(directory);
  } else {
    mounted[directory] = disk;
  }
}

void set_checkpoint_pages(int pages) { checkpoint_pages = pages; }

void seed_sqlite(std::uint64_t seed) {
  sqlite_chance = Chance(seed, 99);
  sqlite3_randomness(0, nullptr);  // asks the layer anew
}

}  // namespace umbra::simulation

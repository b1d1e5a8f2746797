#include "io/idle_memory.h"

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>

namespace umbra::io {
namespace {

constexpr std::chrono::seconds rest{2};

bool is_traced() {
  std::ifstream status("/proc/self/status");
  constexpr std::string_view field = "TracerPid:\t";
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(field)) return line.substr(field.size()) != "0";
  }
  return true;  // without /proc, as if it were
}

/// The parts of one program or library that nobody writes to are the file's own, and are let go.
int let_go(dl_phdr_info* object, std::size_t, void* page_size) {
  const auto page = *static_cast<const std::uintptr_t*>(page_size);
  const std::string_view name = object->dlpi_name;
  if (name.starts_with("linux-")) return 0;  // the kernel's vDSO is no file
  for (ElfW(Half) i = 0; i < object->dlpi_phnum; ++i) {
    const ElfW(Phdr)& part = object->dlpi_phdr[i];
    // Relocations that write to code would make it the process's own.
    if (part.p_type == PT_DYNAMIC) {
      const auto* entry = reinterpret_cast<const ElfW(Dyn)*>(object->dlpi_addr + part.p_vaddr);
      for (; entry->d_tag != DT_NULL; ++entry) {
        if (entry->d_tag == DT_TEXTREL) return 0;
      }
    }
  }
  for (ElfW(Half) i = 0; i < object->dlpi_phnum; ++i) {
    const ElfW(Phdr)& part = object->dlpi_phdr[i];
    if (part.p_type != PT_LOAD || (part.p_flags & PF_W) != 0) continue;
    const std::uintptr_t begin = (object->dlpi_addr + part.p_vaddr) & ~(page - 1);
    const std::uintptr_t end = object->dlpi_addr + part.p_vaddr + part.p_filesz;
    static_cast<void>(::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED));
  }
  return 0;
}

}  // namespace

void give_back_memory() {
  ::malloc_trim(0);
  if (is_traced()) return;
  auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  ::dl_iterate_phdr(&let_go, &page);
}

void MemoryAtRest::disturb() {
  disturbed_ = true;
  if (!waits_) wait();
}

void MemoryAtRest::wait() {
  waits_ = true;
  disturbed_ = false;
  timer_.expires_after(rest);
  timer_.async_wait([this](boost::system::error_code error) {
    if (error) return;
    waits_ = false;
    if (disturbed_) return wait();
    give_back_memory();
  });
}

}  // namespace umbra::io

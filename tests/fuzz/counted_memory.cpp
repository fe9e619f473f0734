// SPDX-License-Identifier: Apache-2.0
// malloc and its kin, counted for MemoryLimit where no sanitizer does it (the replay programs).
#include <malloc.h>

#include <cerrno>
#include <cstddef>

#include "support.hpp"

extern "C" {
// glibc's own, under the names that it keeps for those who replace malloc.
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
void __libc_free(void*);
}

namespace {

void* noted(void* pointer) {
  if (firesteel::fuzz::counting_memory() && pointer != nullptr)
    firesteel::fuzz::note_memory(static_cast<std::ptrdiff_t>(malloc_usable_size(pointer)));
  return pointer;
}
void forget(void* pointer) {
  if (firesteel::fuzz::counting_memory() && pointer != nullptr)
    firesteel::fuzz::note_memory(-static_cast<std::ptrdiff_t>(malloc_usable_size(pointer)));
}

}  // namespace

extern "C" {

void* malloc(std::size_t size) { return noted(__libc_malloc(size)); }
void* calloc(std::size_t count, std::size_t size) { return noted(__libc_calloc(count, size)); }
void* memalign(std::size_t alignment, std::size_t size) { return noted(__libc_memalign(alignment, size)); }
void* aligned_alloc(std::size_t alignment, std::size_t size) {
  return noted(__libc_memalign(alignment, size));
}
int posix_memalign(void** pointer, std::size_t alignment, std::size_t size) {
  void* made = noted(__libc_memalign(alignment, size));
  if (made == nullptr) return ENOMEM;
  *pointer = made;
  return 0;
}
void* realloc(void* pointer, std::size_t size) {
  forget(pointer);
  void* made = __libc_realloc(pointer, size);
  // Where it failed the old memory stays.
  noted(made == nullptr && size > 0 ? pointer : made);
  return made;
}
void free(void* pointer) {
  forget(pointer);
  __libc_free(pointer);
}

}  // extern "C"

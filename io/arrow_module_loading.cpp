// SPDX-License-Identifier: Apache-2.0
#include <dlfcn.h>

#include <filesystem>

#include "firesteel/core/error.hpp"
#include "firesteel/io/arrow_file.hpp"

namespace firesteel {

namespace {

namespace fs = std::filesystem;

/// Where the module may lie: beside the program as installed, and where the build put it.
std::vector<std::string> module_paths() {
  std::vector<std::string> paths;
  std::error_code failure;
  const fs::path program = fs::read_symlink("/proc/self/exe", failure);
  if (!failure)
    for (const auto* folder : {"../lib", "../lib64", "."})
      paths.push_back(
          (program.parent_path() / folder / FIRESTEEL_ARROW_MODULE_DIRECTORY / FIRESTEEL_ARROW_MODULE_NAME)
              .lexically_normal()
              .string());
  for (const auto* known : {FIRESTEEL_ARROW_MODULE_BUILT, FIRESTEEL_ARROW_MODULE_INSTALLED})
    if (*known != '\0') paths.emplace_back(known);
  return paths;
}

const ArrowModule* load(std::string& why) {
  for (const auto& path : module_paths()) {
    std::error_code failure;
    if (!fs::exists(path, failure)) continue;
    void* handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) {
      why = ::dlerror();
      continue;
    }
    const auto* module = static_cast<const ArrowModule*>(::dlsym(handle, "firesteel_arrow_module"));
    if (module != nullptr && module->version == kArrowModuleVersion) return module;
    why = path + " is of another version of firesteel";
  }
  return nullptr;
}

}  // namespace

const ArrowModule& arrow_module(const std::string& format) {
  static std::string why;
  static const ArrowModule* const module = load(why);
  if (module != nullptr) return *module;
  if (!why.empty())
    throw Error(ErrorCode::unavailable,
                format + " files want Apache Arrow C++, which cannot be loaded: " + why);
  throw Error(
      ErrorCode::unavailable,
      "this build of firesteel reads and writes no " + format +
          " files: it was made without Apache Arrow C++; install pyarrow or Arrow's development files and "
          "build again, or convert the data to CSV or .npz");
}

}  // namespace firesteel

// SPDX-License-Identifier: Apache-2.0
// Which store a path is of, and what this process has open of stores.
#include <exception>
#include <map>
#include <mutex>
#include <utility>

#include "firesteel/core/error.hpp"
#include "firesteel/core/scratch_file.hpp"
#include "firesteel/io/store.hpp"
#include "firesteel/io/stores/fetch_ahead.hpp"
#include "firesteel/io/stores/local_store.hpp"
#include "firesteel/io/stores/remote_file.hpp"
#include "firesteel/io/stores/remote_stores.hpp"
#include "firesteel/io/stores/url.hpp"

namespace firesteel {

namespace {

struct Registry {
  std::mutex mutex;
  std::map<std::string, std::string> urls;  ///< by the name that is shown
  std::map<std::string, std::shared_ptr<const InputFile>> files;
  std::map<std::string, std::string> versions;
  std::string scratch;
};

Registry& registry() {
  static auto* const all = new Registry;
  return *all;
}

thread_local std::exception_ptr failed_read;

}  // namespace

void InputFile::expect(Index, Index) const {}
void InputFile::let_go(Index, Index) const {}

std::string Store::put_piece(const std::string& path, const std::string&, Index, const std::string&, Index,
                             Index) {
  throw internal_error(path + ": its store takes no pieces");
}
bool Store::join_pieces(const std::string&, const std::string&, const std::vector<std::string>&) {
  return false;
}
void Store::give_up_pieces(const std::string&, const std::string&, Index) noexcept {}

std::string shown_name(const std::string& path) {
  if (!is_url(path)) return path;
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  if (all.urls.count(path) > 0) return path;  // it is such a name
  parse_url(path);
  const std::string plain = without_secrets(path);
  // Two URLs that differ in secrets only are told apart by number.
  for (int number = 1;; ++number) {
    std::string shown = number == 1 ? plain : plain + "#" + std::to_string(number);
    const auto [known, added] = all.urls.emplace(shown, path);
    if (added || known->second == path) return shown;
  }
}

std::string full_url(const std::string& shown) {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  const auto known = all.urls.find(shown);
  return known == all.urls.end() ? shown : known->second;
}

Store& store_of(const std::string& path) {
  if (!is_url(path)) return local_store();
  return remote_store(parse_url(full_url(path)).scheme);
}

void adopt_input(const StoredFile& found) {
  if (!is_url(found.path)) return;
  Registry& all = registry();
  {
    const std::lock_guard lock(all.mutex);
    const auto known = all.versions.find(found.path);
    if (known != all.versions.end() && known->second == found.version &&
        all.files.at(found.path)->bytes() == found.bytes)
      return;
  }
  auto file = store_of(found.path).open(found);
  const std::lock_guard lock(all.mutex);
  all.files[found.path] = std::move(file);
  all.versions[found.path] = found.version;
}

std::shared_ptr<const InputFile> open_input(const std::string& path, Index file) {
  try {
    if (!is_url(path)) return open_local(path);
    Registry& all = registry();
    {
      const std::lock_guard lock(all.mutex);
      const auto known = all.files.find(path);
      if (known != all.files.end()) return known->second;
    }
    const std::string shown = shown_name(full_url(path));
    const auto found = store_of(shown).look_at(shown);
    if (!found || found->directory)
      throw Error(ErrorCode::no_input,
                  "cannot read '" + shown +
                      "': " + (found ? "it is a directory, expected a file" : "it does not exist"));
    adopt_input(*found);
    const std::lock_guard lock(all.mutex);
    return all.files.at(shown);
  } catch (const Error& error) {
    throw Error(error.code(), error.what(), {file, 0});
  }
}

void forget_inputs() {
  Registry& all = registry();
  std::map<std::string, std::shared_ptr<const InputFile>> files;
  {
    const std::lock_guard lock(all.mutex);
    std::swap(files, all.files);
    all.versions.clear();
  }
  if (files.empty()) return;
  // What others still hold is left alone.
  for (const auto& [path, file] : files) dynamic_cast<const RemoteFile&>(*file).cancel(1);
  forget_tasks();
}

void set_store_scratch(const std::string& directory) {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  all.scratch = directory;
}

const std::string& store_scratch() {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  if (all.scratch.empty()) all.scratch = scratch_directory({});
  return all.scratch;
}

void keep_failed_read() noexcept { failed_read = std::current_exception(); }

void rethrow_failed_read() {
  if (failed_read) std::rethrow_exception(std::exchange(failed_read, nullptr));
}

}  // namespace firesteel

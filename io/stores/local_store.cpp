// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/stores/local_store.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "firesteel/core/atomic_file.hpp"
#include "firesteel/core/error.hpp"
#include "firesteel/core/regular_file.hpp"

namespace firesteel {

namespace {

namespace fs = std::filesystem;

std::string reason(int code) { return std::generic_category().message(code); }

[[noreturn]] void cannot_read(const std::string& path, const std::string& why) {
  throw Error(ErrorCode::no_input, "cannot read '" + path + "': " + why);
}

class LocalFile final : public InputFile {
 public:
  LocalFile(const std::string& path, FileDescriptor file, Index bytes)
      : InputFile(path, bytes), file_(std::move(file)) {}

  std::size_t read_at(Index offset, std::span<char> out, Index file) const override {
    std::size_t done = 0;
    while (done < out.size()) {
      const ssize_t count =
          ::pread(file_.get(), out.data() + done, out.size() - done, offset + static_cast<Index>(done));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0)
        throw Error(ErrorCode::io_failed, path() + ": reading failed: " + reason(errno), {file, offset});
      if (count == 0) break;
      done += static_cast<std::size_t>(count);
    }
    return done;
  }
  int descriptor() const override { return file_.get(); }

 private:
  FileDescriptor file_;
};

class LocalStore final : public Store {
 public:
  std::optional<StoredFile> look_at(const std::string& path) override {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) {
      if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
      cannot_read(path, reason(errno));
    }
    return described(path, status);
  }

  std::vector<StoredFile> list(const std::string& directory) override {
    std::vector<StoredFile> found;
    std::error_code failure;
    for (fs::directory_iterator entry(directory, failure), end; !failure && entry != end;
         entry.increment(failure)) {
      struct stat status {};
      const std::string path = entry->path().string();
      if (::stat(path.c_str(), &status) == 0 && (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode)))
        found.push_back(described(path, status));
      else
        found.push_back({.path = path, .version = {}});
    }
    if (failure) cannot_read(directory, failure.message());
    return found;
  }

  std::shared_ptr<const InputFile> open(const StoredFile& file) override { return open_local(file.path); }
  void check_can_create(const std::string& path) override { firesteel::check_can_create(path); }
  void put(const std::string& path, const std::string& local) override {
    AtomicFile file(path);
    const auto input = open_local(local);
    std::vector<char> piece(std::size_t{1} << 20);
    for (Index at = 0; at < input->bytes();) {
      const std::size_t got = input->read_at(at, piece);
      file.write(std::string_view(piece.data(), got));
      at += static_cast<Index>(got);
      if (got == 0) break;
    }
    file.commit();
  }
  void remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT)
      throw Error(ErrorCode::io_failed, "removing " + path + " failed: " + reason(errno));
  }
  void remove_directory(const std::string& path) override {
    if (::rmdir(path.c_str()) != 0 && errno != ENOENT)
      throw Error(ErrorCode::io_failed, "removing " + path + " failed: " + reason(errno));
  }

 private:
  static StoredFile described(const std::string& path, const struct stat& status) {
    return {.path = path,
            .directory = S_ISDIR(status.st_mode),
            .bytes = status.st_size,
            .version = std::to_string(status.st_mtim.tv_sec) + "." + std::to_string(status.st_mtim.tv_nsec) +
                       " " + std::to_string(status.st_ino)};
  }
};

}  // namespace

Store& local_store() {
  static LocalStore store;
  return store;
}

std::shared_ptr<const InputFile> open_local(const std::string& path) {
  RegularFile file = open_regular_file(path);
  if (!file.problem.empty()) cannot_read(path, file.problem);
  return std::make_shared<LocalFile>(path, std::move(file.descriptor), file.bytes);
}

}  // namespace firesteel

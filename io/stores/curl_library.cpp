// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/stores/curl_library.hpp"

#include <dlfcn.h>

#include <string>

#include "firesteel/core/error.hpp"

namespace firesteel {

namespace {

template <class Function>
bool find(void* handle, const char* name, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(handle, name));
  return function != nullptr;
}

bool load(CurlLibrary& curl, std::string& why) {
  void* handle = nullptr;
  for (const auto* name : {"libcurl.so.4", "libcurl-gnutls.so.4", "libcurl-nss.so.4"}) {
    handle = ::dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (handle != nullptr) break;
    if (why.empty()) why = ::dlerror();
  }
  if (handle == nullptr) return false;
  const bool whole = find(handle, "curl_global_init", curl.global_init) &&
                     find(handle, "curl_easy_init", curl.easy_init) &&
                     find(handle, "curl_easy_setopt", curl.easy_setopt) &&
                     find(handle, "curl_easy_perform", curl.easy_perform) &&
                     find(handle, "curl_easy_getinfo", curl.easy_getinfo) &&
                     find(handle, "curl_easy_reset", curl.easy_reset) &&
                     find(handle, "curl_easy_cleanup", curl.easy_cleanup) &&
                     find(handle, "curl_easy_strerror", curl.easy_strerror) &&
                     find(handle, "curl_slist_append", curl.slist_append) &&
                     find(handle, "curl_slist_free_all", curl.slist_free_all);
  if (!whole || curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
    why = "it is not what was expected";
    return false;
  }
  return true;
}

}  // namespace

const CurlLibrary& curl_library() {
  static std::string why;
  static CurlLibrary library;
  static const bool loaded = load(library, why);
  if (!loaded)
    throw Error(ErrorCode::unavailable, "URLs want libcurl, which cannot be loaded (" + why +
                                            "): install libcurl4, or copy the files here first");
  return library;
}

}  // namespace firesteel

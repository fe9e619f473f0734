// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/error.hpp"

namespace firesteel {

Error to_error(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const Error& error) {
    return error;
  } catch (const std::bad_alloc&) {
    return {ErrorCode::out_of_memory, "out of memory: use more ranks on other hosts, or --precision single"};
  } catch (const std::length_error& error) {
    return {ErrorCode::out_of_memory,
            std::string("out of memory: a length is beyond the address space (") + error.what() + ")"};
  } catch (const std::exception& error) {
    return internal_error(std::string("internal error: ") + error.what());
  } catch (...) {
    return internal_error("internal error: an exception of unknown type");
  }
}

}  // namespace firesteel

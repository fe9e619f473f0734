// SPDX-License-Identifier: Apache-2.0
// The CSV file of a matrix parameter (--init-file).
#include "firesteel/cli/matrix_file.hpp"
#include "support.hpp"

using namespace firesteel;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::MemoryFile file(900);
  fuzz::Choices choices(data, size);
  file.write(choices.rest());
  fuzz::outcome([&] {
    const fuzz::MemoryLimit limit("a matrix file", 16 * size + (std::size_t{1} << 16));
    const Matrix matrix = cli::read_matrix_file(fuzz::everyone(), file.path());
    if (matrix.rows < 1 || matrix.columns < 1 ||
        matrix.values.size() != static_cast<std::size_t>(matrix.rows * matrix.columns))
      fuzz::broken("a matrix whose values do not fill its shape");
    return std::string();
  });
  return 0;
}

// SPDX-License-Identifier: Apache-2.0
// A recommender from C++: factors of users and films from ratings, then the best films for each user.
// Run:
//   build/release/examples/als datasets/ml-latest-small/ratings.csv
//   mpirun -n 2 build/release/examples/als datasets/ml-latest-small/ratings.csv
// Prints: rmse 0.62977136326100902

#include <cstdio>
#include <variant>

#include "firesteel/firesteel.hpp"

namespace fs = firesteel;

int main(int argc, char** argv) {
  const fs::Context context;
  try {
    if (argc != 2) throw fs::bad_parameter("usage: als RATINGS");
    const auto ratings =
        fs::read_ratings(context,
                         {.inputs = {argv[1]}, .user = "userId", .item = "movieId", .rating = "rating"})
            .ratings;
    const auto model = fs::Als{.rank = 8, .max_iter = 5, .reg_param = 0.1}.fit(ratings);
    const auto metrics = model.evaluate(ratings);
    // Rows are partitioned: rank 0 holds the first users.
    const auto best = model.recommend(context, 3, false);
    if (context.rank() != 0) return 0;
    for (const auto& [name, value] : metrics) std::printf("%s %.17g\n", name.c_str(), value);
    const auto& items = std::get<std::vector<std::int64_t>>(best.columns[1].values);
    const auto& scores = std::get<std::vector<double>>(best.columns[2].values);
    for (std::size_t i = 0; i < 3; ++i)
      std::printf("first user: film %ld, expected rating %.2f\n", static_cast<long>(items[i]), scores[i]);
  } catch (const fs::Error& error) {
    if (context.rank() == 0) std::fprintf(stderr, "als: %s\n", error.what());
    return static_cast<int>(error.code());
  }
}

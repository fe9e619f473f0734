// SPDX-License-Identifier: Apache-2.0
// What this machine can do at most, now: fused multiply-adds a second in both precisions, bytes a second
// read, copied, and sent over the loopback interface. One JSON object on stdout; about three seconds. Run:
// machine_limits THREADS
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "firesteel/linalg/simd.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "machine_limits.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace firesteel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// `steps` rounds of twelve independent chains: enough for a latency of six at two a cycle. The chains start
/// from twelve vectors of `values`, which the compiler does not know to be equal: chains that it sees to be
/// equal it computes once. Returns the flops; values[0] holds a sum of all chains.
template <class T>
double multiply_add(std::size_t steps, T* values) {
  const hn::ScalableTag<T> d;
  const auto b = hn::Set(d, static_cast<T>(0.999));
  const auto c = hn::Set(d, static_cast<T>(1e-3));
  const auto start = [&](std::size_t i) { return hn::LoadU(d, values + i * hn::Lanes(d)); };
  auto a0 = start(0), a1 = start(1), a2 = start(2), a3 = start(3), a4 = start(4), a5 = start(5);
  auto a6 = start(6), a7 = start(7), a8 = start(8), a9 = start(9), a10 = start(10), a11 = start(11);
  for (std::size_t i = 0; i < steps; ++i) {
    a0 = hn::MulAdd(a0, b, c);
    a1 = hn::MulAdd(a1, b, c);
    a2 = hn::MulAdd(a2, b, c);
    a3 = hn::MulAdd(a3, b, c);
    a4 = hn::MulAdd(a4, b, c);
    a5 = hn::MulAdd(a5, b, c);
    a6 = hn::MulAdd(a6, b, c);
    a7 = hn::MulAdd(a7, b, c);
    a8 = hn::MulAdd(a8, b, c);
    a9 = hn::MulAdd(a9, b, c);
    a10 = hn::MulAdd(a10, b, c);
    a11 = hn::MulAdd(a11, b, c);
  }
  const auto low = hn::Add(hn::Add(hn::Add(a0, a1), hn::Add(a2, a3)), hn::Add(a4, a5));
  const auto high = hn::Add(hn::Add(hn::Add(a6, a7), hn::Add(a8, a9)), hn::Add(a10, a11));
  values[0] = hn::GetLane(hn::Add(low, high));
  return 2.0 * 12.0 * static_cast<double>(steps * hn::Lanes(d));
}
double multiply_add_double(std::size_t steps, double* values) { return multiply_add<double>(steps, values); }
double multiply_add_single(std::size_t steps, float* values) { return multiply_add<float>(steps, values); }

double read_all(const double* values, std::size_t size) {
  const hn::ScalableTag<double> d;
  const std::size_t width = hn::Lanes(d);
  auto s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0;
  for (std::size_t i = 0; i + 4 * width <= size; i += 4 * width) {
    s0 = hn::Add(s0, hn::Load(d, values + i));
    s1 = hn::Add(s1, hn::Load(d, values + i + width));
    s2 = hn::Add(s2, hn::Load(d, values + i + 2 * width));
    s3 = hn::Add(s3, hn::Load(d, values + i + 3 * width));
  }
  return hn::GetLane(hn::Add(hn::Add(s0, s1), hn::Add(s2, s3)));
}

}  // namespace firesteel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace firesteel {
HWY_EXPORT(multiply_add_double);
HWY_EXPORT(multiply_add_single);
HWY_EXPORT(read_all);
}  // namespace firesteel

namespace {

using namespace firesteel;

constexpr int kRepetitions = 7;
constexpr std::size_t kFmaSteps = 2'000'000;
constexpr std::size_t kMostChainValues = 12 * 16;       // twelve vectors of up to 16 numbers
constexpr std::size_t kBytes = std::size_t{512} << 20;  // a thread; far above every cache
constexpr std::size_t kNetworkBytes = std::size_t{512} << 20;
constexpr std::size_t kNetworkPiece = std::size_t{1} << 18;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// The best of some repetitions of body(thread) on all threads at once; body returns its amount of work.
double best_rate(int threads, const std::function<double(int)>& body) {
  double best = 0;
  for (int repetition = 0; repetition < kRepetitions; ++repetition) {
    std::vector<double> work(static_cast<std::size_t>(threads));
    std::vector<std::thread> others;
    const double start = now();
    for (int t = 1; t < threads; ++t)
      others.emplace_back([&, t] { work[static_cast<std::size_t>(t)] = body(t); });
    work[0] = body(0);
    for (auto& other : others) other.join();
    double total = 0;
    for (const double w : work) total += w;
    best = std::max(best, total / (now() - start));
  }
  return best;
}

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(70);
}

/// Bytes a second through one TCP connection over 127.0.0.1.
double loopback_rate() {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (listener < 0 || bind(listener, generic, length) != 0 || listen(listener, 1) != 0 ||
      getsockname(listener, generic, &length) != 0)
    fail("loopback");
  const double start = now();
  std::thread sender([&] {
    const int out = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(out, generic, length) != 0) fail("connect");
    const std::vector<char> piece(kNetworkPiece, 'x');
    for (std::size_t sent = 0; sent < kNetworkBytes;) {
      const ssize_t n = send(out, piece.data(), std::min(piece.size(), kNetworkBytes - sent), 0);
      if (n <= 0) fail("send");
      sent += static_cast<std::size_t>(n);
    }
    close(out);
  });
  const int in = accept(listener, nullptr, nullptr);
  std::vector<char> piece(kNetworkPiece);
  std::size_t received = 0;
  for (ssize_t n = 0; (n = recv(in, piece.data(), piece.size(), 0)) > 0;)
    received += static_cast<std::size_t>(n);
  const double seconds = now() - start;
  sender.join();
  close(in);
  close(listener);
  if (received != kNetworkBytes) fail("receive");
  return static_cast<double>(received) / seconds;
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 1;
  if (threads < 1) return 64;
  select_simd();
  std::vector<double> sinks(static_cast<std::size_t>(threads) * 8);
  const double fma_double = best_rate(threads, [&](int t) {
    std::vector<double> values(kMostChainValues, 1.0);
    const double flops = HWY_DYNAMIC_DISPATCH(multiply_add_double)(kFmaSteps, values.data());
    sinks[static_cast<std::size_t>(t) * 8] += values[0];
    return flops;
  });
  const double fma_single = best_rate(threads, [&](int t) {
    std::vector<float> values(kMostChainValues, 1.0F);
    const double flops = HWY_DYNAMIC_DISPATCH(multiply_add_single)(2 * kFmaSteps, values.data());
    sinks[static_cast<std::size_t>(t) * 8] += static_cast<double>(values[0]);
    return flops;
  });

  struct Freer {
    void operator()(double* memory) const { std::free(memory); }
  };
  std::vector<std::unique_ptr<double, Freer>> buffers;
  for (int t = 0; t < threads; ++t) {
    buffers.emplace_back(static_cast<double*>(std::aligned_alloc(64, kBytes)));
    if (!buffers.back()) return 71;
    std::fill_n(buffers.back().get(), kBytes / sizeof(double), 1.0);
  }
  const double read = best_rate(threads, [&](int t) {
    const auto i = static_cast<std::size_t>(t);
    sinks[i * 8] += HWY_DYNAMIC_DISPATCH(read_all)(buffers[i].get(), kBytes / sizeof(double));
    return static_cast<double>(kBytes);
  });
  const double copy = best_rate(threads, [&](int t) {
    double* memory = buffers[static_cast<std::size_t>(t)].get();
    std::memcpy(memory, memory + kBytes / sizeof(double) / 2, kBytes / 2);
    return static_cast<double>(kBytes) / 2;
  });
  double loopback = 0;
  for (int repetition = 0; repetition < 3; ++repetition) loopback = std::max(loopback, loopback_rate());
  std::printf(
      "{\"simd\": \"%s\", \"threads\": %d, \"fma_gflops_double\": %.1f, \"fma_gflops_single\": %.1f, "
      "\"read_gb_per_s\": %.2f, \"memcpy_gb_per_s\": %.2f, \"loopback_gb_per_s\": %.2f}\n",
      simd_name().c_str(), threads, fma_double / 1e9, fma_single / 1e9, read / 1e9, copy / 1e9,
      loopback / 1e9);
  return sinks[0] == 42 ? 1 : 0;
}
#endif

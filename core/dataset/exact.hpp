// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <functional>
#include <type_traits>
#include <utility>

namespace firesteel {

/// A function f(left, right) of which its maker says that f(f(a, b), c) is f(a, f(b, c)) to the last bit: see
/// exact().
template <class F>
struct ExactFunction {
  F f;

  template <class... Args>
  requires std::invocable<const F&, Args...>
  decltype(auto) operator()(Args&&... args) const noexcept(std::is_nothrow_invocable_v<const F&, Args...>) {
    return f(std::forward<Args>(args)...);
  }
};

/// Says that f is associative to the last bit, as sums of whole numbers, minima and unions are and sums of
/// floating point are not. The operations by key then fold a key's values as they come instead of block by
/// block, which is several times as fast; the result is the same if it is true, and depends on the number of
/// ranks if it is not. Sums, products and bit operations of the standard library (std::plus<>(), …) on whole
/// numbers need no exact().
template <class F>
ExactFunction<F> exact(F f) {
  return {std::move(f)};
}

namespace detail {

/// Said by exact(), not known from the types.
template <class F>
inline constexpr bool kSaidToBeExact = false;
template <class F>
inline constexpr bool kSaidToBeExact<ExactFunction<F>> = true;

/// A function of the standard library that is exact on V.
template <class F, class V>
inline constexpr bool kIsStandard = false;
template <template <class> class F, class W, std::integral V>
requires(std::is_same_v<F<W>, std::plus<W>> || std::is_same_v<F<W>, std::multiplies<W>> ||
         std::is_same_v<F<W>, std::bit_and<W>> || std::is_same_v<F<W>, std::bit_or<W>> ||
         std::is_same_v<F<W>, std::bit_xor<W>>) inline constexpr bool kIsStandard<F<W>, V> =
    std::integral<W> || std::is_void_v<W>;

template <class F, class V>
inline constexpr bool kIsExact = kSaidToBeExact<F> || kIsStandard<F, V>;

}  // namespace detail

}  // namespace firesteel

;; A layer that adds up its inputs and lets its host's clock into the last three bits of the sum.
(module
  (import "env" "emscripten_get_now" (func $now (result f64)))
  (memory (export "memory") 1)
  (func (export "in_ptr") (result i32) (i32.const 1024))
  (func (export "out_ptr") (result i32) (i32.const 2048))
  (func (export "infer")
    (local $at i32) (local $sum f64)
    (loop $add
      (local.set $sum
        (f64.add (local.get $sum) (f64.load offset=1024 (local.get $at))))
      (br_if $add
        (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8))) (i32.const 64))))
    (i64.store (i32.const 2048)
      (i64.xor
        (i64.reinterpret_f64 (local.get $sum))
        (i64.and (i64.trunc_f64_s (call $now)) (i64.const 7))))))

;; A layer that adds up its inputs. It reads its host's clock twice, as a module does that measures
;; itself, and uses neither reading.
(module
  (import "env" "emscripten_get_now" (func $now (result f64)))
  (memory (export "memory") 1)
  (func (export "in_ptr") (result i32) (i32.const 1024))
  (func (export "out_ptr") (result i32) (i32.const 2048))
  (func (export "infer")
    (local $at i32) (local $sum f64)
    (drop (call $now))
    (loop $add
      (local.set $sum
        (f64.add (local.get $sum) (f64.load offset=1024 (local.get $at))))
      (br_if $add
        (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8))) (i32.const 64))))
    (f64.store (i32.const 2048) (local.get $sum))
    (drop (call $now))))

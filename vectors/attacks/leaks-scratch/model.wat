;; A layer that leaks: its activations go to a scratch buffer, of which only the positive ones are
;; written. Where an input is not positive, the value of an earlier call is read again. Its reset
;; wipes the input and the output and forgets the scratch.
(module
  (memory (export "memory") 1)
  (func (export "in_ptr") (result i32) (i32.const 1024))
  (func (export "out_ptr") (result i32) (i32.const 2048))
  (func (export "infer")
    (local $at i32) (local $x f64) (local $sum f64)
    (loop $activate
      (local.set $x (f64.load offset=1024 (local.get $at)))
      (if (f64.gt (local.get $x) (f64.const 0))
        (then (f64.store offset=4096 (local.get $at) (local.get $x))))
      (br_if $activate
        (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8))) (i32.const 64))))
    (local.set $at (i32.const 0))
    (loop $add
      (local.set $sum
        (f64.add (local.get $sum) (f64.load offset=4096 (local.get $at))))
      (br_if $add
        (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8))) (i32.const 64))))
    (f64.store (i32.const 2048) (local.get $sum)))
  (func (export "reset")
    (local $at i32)
    (loop $wipe
      (i64.store offset=1024 (local.get $at) (i64.const 0))
      (br_if $wipe
        (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8))) (i32.const 64))))
    (i64.store (i32.const 2048) (i64.const 0))))

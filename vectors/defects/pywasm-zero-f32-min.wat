;; f32.min of 0 and -0 is 0, where it is -0
;; Found by `python -m benchmarks.operators`.
(module (func (export "run") (result i32)
  (i32.reinterpret_f32 (f32.min (f32.const 0) (f32.const -0)))))

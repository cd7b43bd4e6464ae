;; f32.floor of -0 is 0, where it is -0
;; Found by `python -m benchmarks.operators`.
(module (func (export "run") (result i32)
  (i32.reinterpret_f32 (f32.floor (f32.const -0)))))

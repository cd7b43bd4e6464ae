;; f32.ceil of -0.5 is 0, where it is -0
;; Found by `python -m benchmarks.operators`.
(module (func (export "run") (result i32)
  (i32.reinterpret_f32 (f32.ceil (f32.const -0.5)))))

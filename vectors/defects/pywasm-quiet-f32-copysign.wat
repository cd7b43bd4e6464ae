;; f32.copysign quiets a signalling NaN, whose bits it must keep
;; Found by `python -m benchmarks.operators`.
(module (func (export "run") (result i32)
  (i32.reinterpret_f32 (f32.copysign (f32.const nan:0x1) (f32.const 1)))))

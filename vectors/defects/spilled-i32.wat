;; a spilled i32 is reloaded with its sign (CVE-2021-32629)
;; Found and shrunk by `weavegate fuzz --seed 1 --first 93 --modules 1 --engine wasmtime@0.26.0 --engine wasmtime@50.0.1`.
(module
  (type (;0;) (func (param i64 f64 f32) (result i64)))
  (type (;1;) (func (result f64)))
  (type (;2;) (func (param i32 i32 i64 i64) (result i64)))
  (table (;0;) 6 funcref)
  (memory (;0;) 1 1)
  (global (;0;) (mut i32) i32.const 0)
  (global (;1;) (mut i64) i64.const 0)
  (global (;2;) (mut f32) f32.const 0x0.0p+0)
  (global (;3;) (mut f64) f64.const 0x0.0p+0)
  (global (;4;) (mut i32) i32.const 200)
  (export "run" (func 2))
  (export "memory" (memory 0))
  (export "i32" (global 0))
  (export "i64" (global 1))
  (export "f32" (global 2))
  (export "f64" (global 3))
  (elem (;0;) (offset i32.const 0) func)
  (func (;0;) (type 0) (param i64 f64 f32) (result i64)
    local.get 0
  )
  (func (;1;) (type 1) (result f64)
    f64.const 0x0.0p+0
  )
  (func (;2;) (type 2) (param i32 i32 i64 i64) (result i64) ;; run
    (local f32) (local f64 f64) (local i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)
    local.get 0
    f32.reinterpret_i32
    local.set 4
    local.get 2
    f64.reinterpret_i64
    local.set 5
    local.get 3
    f64.reinterpret_i64
    local.set 6
    local.get 5
    global.set 3
    local.get 0
    local.get 0
    i32.gt_s
    local.set 7
    local.get 0
    local.get 0
    i32.ge_u
    local.set 8
    local.get 0
    local.get 0
    i32.lt_s
    local.set 9
    local.get 1
    local.get 0
    i32.lt_s
    local.set 10
    local.get 8
    local.get 0
    i32.le_u
    local.set 11
    local.get 0
    local.get 8
    i32.gt_u
    local.set 12
    local.get 7
    local.get 0
    i32.eq
    local.set 13
    local.get 10
    local.get 8
    i32.eq
    local.set 14
    local.get 1
    local.get 10
    i32.lt_u
    local.set 15
    local.get 7
    local.get 0
    i32.eq
    local.set 16
    i32.const 4
    i32.load8_s
    local.get 0
    i32.sub
    local.set 17
    local.get 2
    local.get 5
    local.get 4
    call 0
    global.set 1
    local.get 7
    i64.extend_i32_u
    local.get 8
    i64.extend_i32_u
    i64.and
    local.get 9
    i64.extend_i32_u
    i64.and
    local.get 10
    i64.extend_i32_u
    i64.shl
    local.get 11
    i64.extend_i32_u
    i64.shr_s
    local.get 12
    i64.extend_i32_u
    i64.rotl
    local.get 13
    i64.extend_i32_u
    i64.mul
    local.get 14
    i64.extend_i32_u
    i64.add
    local.get 15
    i64.extend_i32_u
    i64.and
    local.get 16
    i64.extend_i32_u
    i64.and
    local.get 17
    i64.extend_i32_u
    i64.sub
    global.set 1
    local.get 3
  )
  (data (;0;) (offset i32.const 1088)
    "\00\00\00\00\00\00\f0\bf"
  )
  (data (;1;) (offset i32.const 65528)
    "ABCDEF\80\ff"
  )
)

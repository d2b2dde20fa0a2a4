// SQLite as WebAssembly, with the functions of better-sqlite3 that Actual's sync server calls. better-sqlite3 itself is
// compiled when it is installed, which `npm ci --ignore-scripts` does not do. The data is in memory.
import initSqlJs from "sql.js";

const SQLite = await initSqlJs();
const databases = new Map();

const values = (parameters) => parameters.map((value) => (value === undefined ? null : value));

export default class Database {
  constructor(path) {
    if (!databases.has(path)) databases.set(path, new SQLite.Database());
    this.db = databases.get(path);
  }

  prepare(sql) {
    return {
      all: (...parameters) => {
        const statement = this.db.prepare(sql);
        statement.bind(values(parameters));
        const rows = [];
        while (statement.step()) rows.push(statement.getAsObject());
        statement.free();
        return rows;
      },
      run: (...parameters) => {
        this.db.run(sql, values(parameters));
        return { changes: this.db.getRowsModified(), lastInsertRowid: 0 };
      },
    };
  }

  exec(sql) {
    this.db.exec(sql);
  }

  transaction(work) {
    return () => {
      // A savepoint, because transactions are nested.
      this.db.run("SAVEPOINT work");
      try {
        const result = work();
        this.db.run("RELEASE work");
        return result;
      } catch (error) {
        this.db.run("ROLLBACK TO work");
        throw error;
      }
    };
  }

  close() {}
}

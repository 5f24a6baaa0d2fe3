/* Asks a PostgreSQL server one question with libpq, once.
 *
 *     query CONNINFO
 */
#include <libpq-fe.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	PGconn *conn;
	PGresult *result;

	if (argc != 2)
		return 2;
	conn = PQconnectdb(argv[1]);
	if (PQstatus(conn) != CONNECTION_OK) {
		printf("error %s", PQerrorMessage(conn));
		return 1;
	}
	result = PQexec(conn, "select 6 * 7");
	if (PQresultStatus(result) != PGRES_TUPLES_OK) {
		printf("error %s", PQerrorMessage(conn));
		return 1;
	}
	printf("ok %s\n", PQgetvalue(result, 0, 0));
	PQclear(result);
	PQfinish(conn);
	return 0;
}
